"""The worker as a part of a process that stops on signals."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dibs.signals import Stop
from shared.settings import Settings
from worker.hands import Hands
from worker.main import at_work, make_runner

log = logging.getLogger(__name__)


@asynccontextmanager
async def working(
    settings: Settings, hands: Hands, stop: Stop, *, grace_s: float, outlives: bool = True
) -> AsyncIterator[None]:
    """Works while inside; on leaving, ends what runs, or all that is queued where the queue does not outlive us."""
    runner = make_runner(settings, hands)
    told = asyncio.Event()
    async with at_work(hands):
        running = runner.run_until(told, grace_s=grace_s, drain=not outlives)
        work = asyncio.create_task(running, name="worker")
        stop.depends_on(work)
        try:
            yield
        finally:
            told.set()
            if not await stop.unless_hurried(work):
                await runner.stop_now()
            await asyncio.wait({work})
            if not outlives and (lost := await hands.queue.depth()):
                log.error("%d accepted jobs are lost with the queue in memory", lost)
