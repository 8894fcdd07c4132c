"""The time that a test moves."""

import asyncio
import datetime as dt
from typing import Any

import time_machine


class Clock:
    """Wall clock and loop clock of this process, which go on as usual until the test moves them.

    `time.time`, `datetime.now` and all that follow them move: scores in a queue, times to live in fakeredis, ages.
    So do the timers of asyncio's own loop: who sleeps for less than the move wakes up at the next `await`.
    What other processes think of the time stays: `now()` in PostgreSQL, a real Redis. So do `time.monotonic` and
    the timers of uvloop.
    """

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None
        self._traveller: time_machine.Traveller | None = None

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def move(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> dt.datetime:
        """Let this much time pass at once, and return what the time is now. Only forwards: raises `ValueError`."""
        delta = dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if delta < dt.timedelta(0):
            raise ValueError("time moves forwards only: what expired would not come back")
        if self._traveller is None:
            self._travel = time_machine.travel(self.now(), tick=True)
            self._traveller = self._travel.start()
        self._traveller.shift(delta)
        _move_loop(delta.total_seconds())
        return self.now()

    def stop(self) -> None:
        """Back to the real time; the loop's own clock, which must not go backwards, stays ahead."""
        if self._travel is not None:
            self._travel.stop()
            self._travel = self._traveller = None


def _move_loop(seconds: float) -> None:
    try:
        loop: Any = asyncio.get_running_loop()
    except RuntimeError:
        return
    if not isinstance(loop, asyncio.BaseEventLoop):
        return
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
