"""dibs's own worker: arq's, with a main loop that outlives Redis, is woken by an enqueue and stops in order.

arq 0.28 ends the process when Redis fails in the middle of a job, loses a slot when it fails while a job is
being picked, counts a dead worker's lease by its longest timeout, and polls. What it does with one job
(`run_job`, `finish_job`) is used as it is.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from arq.worker import Function, Worker

from shared.queue import REDIS_FAULTS, Queue
from shared.tasks import beside, cancel

if TYPE_CHECKING:
    from arq.connections import ArqRedis

log = logging.getLogger(__name__)

REDIS_PAUSE_S = 0.5
LAST_PICK_S = 2.0


class Runner(Worker):
    """Runs batches from `queue` until it is told to stop."""

    def __init__(self, functions: list[Function], queue: Queue, *, lease_s: float, **options: Any) -> None:
        super().__init__(
            functions,
            redis_pool=cast("ArqRedis", queue.redis),  # arq uses nothing here that its own subclass adds
            queue_name=queue.batches,
            handle_signals=False,
            **options,
        )
        self._queue = queue
        self._lease_s = lease_s
        self._bell = asyncio.Event()
        self._redis_away = False

    async def run_until(self, stop: asyncio.Event, *, grace_s: float) -> None:
        """Work until `stop` is set, then finish within `grace_s` what is running and hand back the rest."""
        picking = asyncio.create_task(self._work(), name="work")
        async with beside(wake=self._listen()):
            await stop.wait()
            self.allow_pick_jobs = False
            self._bell.set()
            # A pick under way is waited for: what it leased and did not start would wait for the lease's end.
            await asyncio.wait([picking], timeout=LAST_PICK_S)
            await cancel([picking])
        await self._finish_running(grace_s)

    async def run_until_empty(self, *, at_most_s: float) -> bool:
        """Whether the queue ran empty within the time; for a queue that nobody adds to any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                while await self._queue.redis.zcard(self._queue.batches):
                    self._bell.clear()
                    await self._pick()
                    await self._pause(self.poll_delay_s / 10)
                return True
        return False

    async def stop_now(self) -> None:
        """Cancel what is running; each batch goes back to the queue without a try spent."""
        await self._finish_running(0)

    async def _work(self) -> None:
        while self.allow_pick_jobs:
            self._bell.clear()
            try:
                await self._pick()
            except REDIS_FAULTS as fault:
                self._tell_away(fault)
                await asyncio.sleep(REDIS_PAUSE_S)
            else:
                self._tell_back()
                await self._pause(self.poll_delay_s)

    async def _pick(self) -> None:
        free = self.max_jobs - len(self.tasks)
        if not self.allow_pick_jobs or free <= 0:
            return
        for batch, score in await self._queue.take(free, self._lease_s):
            task = asyncio.create_task(self.run_job(batch, score), name=f"batch {batch}")
            self.tasks[batch] = task
            task.add_done_callback(lambda done, batch=batch: self._done(batch, done))  # type: ignore[misc]

    def _done(self, batch: str, task: asyncio.Task[Any]) -> None:
        del self.tasks[batch]
        self._bell.set()
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, REDIS_FAULTS):
            # Not marked done: its lease runs out, and the next delivery finds its receipts.
            self._tell_away(error)
        else:
            log.error("batch %s ended outside its function", batch, exc_info=error)

    async def _pause(self, longest_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._bell.wait()

    async def _listen(self) -> None:
        """Ring the bell at every enqueue; while this is deaf, polling goes on."""
        while True:
            try:
                async with self._queue.redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._queue.wake_channel)
                    while True:
                        if await pubsub.get_message(ignore_subscribe_messages=True, timeout=60):
                            self._bell.set()
            except REDIS_FAULTS:
                await asyncio.sleep(REDIS_PAUSE_S)

    async def _finish_running(self, grace_s: float) -> None:
        running = list(self.tasks.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=grace_s)
        if late:
            log.info("handing back %d batches", len(late))
            await cancel(late)

    def _tell_away(self, fault: BaseException) -> None:
        if not self._redis_away:
            self._redis_away = True
            log.warning("Redis is away (%s); waiting for it", type(fault).__name__)

    def _tell_back(self) -> None:
        if self._redis_away:
            self._redis_away = False
            log.warning("Redis is back")
