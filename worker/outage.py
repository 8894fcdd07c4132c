"""A database that is away: everybody waits for the same return, and it is told once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.tasks import cancel

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0


class Outage:
    """Waits until `answers` says that the database is back, once for however many wait."""

    def __init__(self, answers: Callable[[], Awaitable[bool]]) -> None:
        self._answers = answers
        self._return: asyncio.Task[None] | None = None

    async def over(self) -> None:
        """Return when the database answers; at the soonest after a short pause, so that nobody spins."""
        if self._return is None or self._return.done():
            self._return = asyncio.create_task(self._watch(), name="outage")
        # A waiter that is cancelled must not take the watch away from the others.
        await asyncio.shield(self._return)

    async def _watch(self) -> None:
        pause_s = FIRST_PAUSE_S
        log.warning("the database is away; jobs wait for it, no tries are spent")
        await asyncio.sleep(pause_s)
        while not await self._answers():
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
        log.warning("the database is back")

    async def close(self) -> None:
        if self._return is not None:
            await cancel([self._return])
