"""A database that is away: everybody waits for the same return, and it is told once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context

from shared.faults import Fault
from shared.tasks import cancel

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 0.5
"""Half a second after its return at the latest a database is found; two looks a second do it no harm."""


class Outage:
    """Waits until `answers` says that the database can be tried again, once for however many wait.

    The outage is over when somebody's work has `passed`: a database with a full disk answers, and takes nothing.
    """

    def __init__(self, answers: Callable[[], Awaitable[bool]]) -> None:
        self._answers = answers
        self._return: asyncio.Task[None] | None = None
        self.goes_on = False
        self._pause_s = FIRST_PAUSE_S

    async def over(self, fault: Fault) -> None:
        """Return when the database answers; at the soonest after a short pause, so that nobody spins."""
        if not self.goes_on:
            self.goes_on, self._pause_s = True, FIRST_PAUSE_S
            told = f"{fault.code}: {fault.detail}"
            log.warning("the database is away (%s); jobs wait for it, no tries are spent", told)
        if self._return is None or self._return.done():
            # The first who waits is not the only one: neither its log fields nor its trace are the watch's.
            self._return = asyncio.create_task(self._watch(), name="outage", context=Context())
        # A waiter that is cancelled must not take the watch away from the others.
        await asyncio.shield(self._return)

    def passed(self) -> None:
        """Work came through."""
        if self.goes_on:
            self.goes_on = False
            log.warning("the database is back")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)
            if await self._answers():
                return

    async def close(self) -> None:
        if self._return is not None:
            await cancel([self._return])
