"""How a process of dibs is told to stop."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from shared.settings import Settings

log = logging.getLogger(__name__)

AT_ONCE_S = 3.0
"""How long a process has after the second signal to hand back what it holds."""

CLOSING_S = 5.0
"""What a stop may take beyond its grace, for handing back and closing; servers that hang would hold it up for ever."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """The first SIGTERM or SIGINT: stop in order. The second: now. Before `ready()`, the start is given up.

    A part of the process that ends by itself stops the rest in order as well.
    """

    def __init__(self, latest_s: float) -> None:
        """After `latest_s` from the first signal the process is gone, whatever holds it up."""
        self._latest_s = latest_s
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._starting = asyncio.current_task()
        self._broken: BaseException | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.drain_s + settings.grace_s + CLOSING_S)

    @contextmanager
    def on_signals(self) -> Iterator[Self]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        try:
            yield self
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        if self._asked.is_set():
            log.warning("%s again: stopping now", number.name)
            self._hurried.set()
            asyncio.get_running_loop().call_later(AT_ONCE_S, _go)
        else:
            log.info("%s: stopping in order; again to stop now", number.name)
            asyncio.get_running_loop().call_later(self._latest_s, _go)
        self._asked.set()

    def ready(self) -> None:
        """Everything has started: from now on a stop goes in order."""
        self._starting = None

    async def wait(self) -> None:
        """Return when it is time to stop; raises what ended a part of the process."""
        await self._asked.wait()
        if self._broken is not None:
            raise self._broken

    def depends_on(self, part: asyncio.Task[Any]) -> None:
        """Stop when `part` ends."""
        part.add_done_callback(self._ended)

    def _ended(self, part: asyncio.Task[Any]) -> None:
        error = None if part.cancelled() else part.exception()
        if not self._asked.is_set():
            self._broken = error or RuntimeError(f"{part.get_name()} ended by itself")
        self._asked.set()

    async def unless_hurried(self, ending: asyncio.Task[Any]) -> bool:
        """Wait for `ending`; False if the second signal came first, and `ending` still goes on."""
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait({ending, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        return ending.done()


def _go() -> None:
    """End the process whatever holds it up, such as a database that hangs."""
    log.warning("not all could be handed back in time; others take it up when the leases run out")
    logging.shutdown()
    os._exit(0)
