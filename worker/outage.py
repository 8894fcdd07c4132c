"""A database that is away: everybody waits for the same return, and it is told once."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextvars import Context

from shared.tasks import cancel

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0


class Outage:
    """Waits until `answers` says that the database is back, once for however many wait."""

    def __init__(self, answers: Callable[[], Awaitable[bool]]) -> None:
        self._answers = answers
        self._return: asyncio.Task[None] | None = None
        self._back_at = -math.inf

    async def over(self) -> None:
        """Return when the database answers; at the soonest after a short pause, so that nobody spins."""
        if self._return is None or self._return.done():
            # The first who waits is not the only one: neither its log fields nor its trace are the watch's.
            self._return = asyncio.create_task(self._watch(), name="outage", context=Context())
        # A waiter that is cancelled must not take the watch away from the others.
        await asyncio.shield(self._return)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        # It answered a moment ago and still could not be used, as with a full disk: the same outage goes on.
        goes_on = loop.time() - self._back_at < LONGEST_PAUSE_S * 5
        pause_s = LONGEST_PAUSE_S if goes_on else FIRST_PAUSE_S
        if not goes_on:
            log.warning("the database is away; jobs wait for it, no tries are spent")
        await asyncio.sleep(pause_s)
        while not await self._answers():
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        self._back_at = loop.time()
        if not goes_on:
            log.warning("the database is back")

    async def close(self) -> None:
        if self._return is not None:
            await cancel([self._return])
