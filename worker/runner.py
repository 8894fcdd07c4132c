"""dibs's own worker: takes batches from arq's queue as fast as they come, outlives Redis and stops in order.

arq 0.28 ends the process when Redis fails in the middle of a job, loses a slot when it fails while a job is
being picked, counts a dead worker's lease by its longest timeout, polls, and needs five round trips for each
job. Here one script leases many batches with their payloads, the fresh ones among them are claimed together, and
one transaction in Redis marks them done. The keys and their meaning stay arq's: both workers may run side by side.
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from uuid import UUID

from shared.absence import Absence
from shared.points import Point, reached
from shared.redis import REDIS_FAULTS
from shared.tasks import beside, cancel
from shared.tickets import Delivery
from worker.hands import Again, Hands, together

log = logging.getLogger(__name__)

REDIS_PAUSE_S = 0.5
LAST_PICK_S = 2.0

TAKE_BATCHES = 500
"""Batches that are taken at once, if they wait."""
LEAST_PAUSE_S = 0.02
"""Before another look at leases that run out one after the other."""
SOON_S = 0.01
"""Before another look when something was found, or handed over: what comes meanwhile is claimed together."""


class Runner:
    """Runs batches until it is told to stop, `concurrency` claims at a time."""

    def __init__(self, hands: Hands, *, concurrency: int, poll_delay_s: float, lease_s: float) -> None:
        self._hands = hands
        self._queue = hands.queue
        self._concurrency = concurrency
        self._poll_delay_s = poll_delay_s
        self._lease_s = lease_s
        self._picking = True
        self._running: set[asyncio.Task[None]] = set()
        self._mine: set[str] = set()
        self._bell = asyncio.Event()
        self._listens = False
        self._has_left = asyncio.Event()
        self._redis = Absence("Redis", log)

    async def run_until(self, stop: asyncio.Event, *, grace_s: float, drain: bool = False) -> None:
        """Work until `stop` is set, then finish within `grace_s` what is running and hand back the rest.

        With `drain` what is queued is finished first, for a queue that does not outlive this process.
        """
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(self._work(), name="work")
        async with beside(wake=self._listen()):
            told = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait({told, work}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            end = loop.time() + grace_s
            if drain:
                await self._drain(grace_s)
            await self._leave()
            self._picking = False
            self._bell.set()
            # A pick under way is waited for: what it leased and did not start would wait for the lease's end.
            await asyncio.wait([work], timeout=LAST_PICK_S)
            await cancel([work])
        await self._finish_running(max(0.0, end - loop.time()))

    async def stop_now(self) -> None:
        """Cancel what is running; each batch goes back to the queue without a try spent."""
        self._picking = False
        await cancel(set(self._running))

    async def _leave(self) -> None:
        """Be handed nothing more, and hear of all that was."""
        if not self._listens:
            return
        with suppress(*REDIS_FAULTS):
            async with asyncio.timeout(LAST_PICK_S):
                await self._queue.leave()
                await self._has_left.wait()

    async def _drain(self, at_most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                while self._picking and await self._queue.redis.zcard(self._queue.batches):
                    self._bell.set()
                    await asyncio.sleep(REDIS_PAUSE_S / 10)

    async def _work(self) -> None:
        while self._picking:
            self._bell.clear()
            try:
                pause_s = min(self._poll_delay_s, await self._pick())
            except REDIS_FAULTS as fault:
                self._redis.goes_on(type(fault).__name__)
                await asyncio.sleep(REDIS_PAUSE_S)
            except Exception:
                # Whatever it is, a worker that goes on is better than none.
                log.exception("no batches could be taken")
                await asyncio.sleep(self._poll_delay_s)
            else:
                self._redis.is_over()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._bell.wait()

    async def _pick(self) -> float:
        """Start what may run now, and return in how many seconds to look again unless the bell rings before."""
        if len(self._running) >= self._concurrency:
            return math.inf
        deliveries, look_again_s = await self._queue.take(TAKE_BATCHES, self._lease_s, listens=self._listens)
        await reached(Point.LEASED, _jobs_of(deliveries))
        # A lease of ours may have run out, and this took it up again: it still runs, and nobody died.
        for group in grouped((d for d in deliveries if d.batch not in self._mine), self._hands.max_deaths):
            self._start(group)
        if deliveries:
            return SOON_S
        # Nothing was there; what comes now is handed over.
        return math.inf if look_again_s is None else look_again_s + LEAST_PAUSE_S

    def _start(self, group: Sequence[Delivery]) -> None:
        self._mine.update(delivery.batch for delivery in group)
        task = asyncio.create_task(self._run(group), name=f"claim {group[0].batch}")
        self._running.add(task)
        task.add_done_callback(self._done)

    async def _run(self, group: Sequence[Delivery]) -> None:
        """One claim, and its end in Redis. A cancel hands the batches back at once."""
        batches = [delivery.batch for delivery in group]
        try:
            verdict = await self._hands.run(group)
            if isinstance(verdict, Again):
                await self._queue.hand_back(batches, verdict.delay_s)
                asyncio.get_running_loop().call_later(verdict.delay_s, self._bell.set)
            else:
                await self._queue.finish(batches, verdict.receipts.values())
        except asyncio.CancelledError:
            await reached(Point.STOPPING, _jobs_of(group))
            with suppress(*REDIS_FAULTS):
                await self._queue.hand_back(batches, 0)
            raise
        finally:
            self._mine.difference_update(batches)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._bell.set()
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, REDIS_FAULTS):
            # Not marked done: the leases run out, and the next delivery finds the receipts.
            self._redis.goes_on(type(error).__name__)
        else:
            log.error("a claim ended outside its function", exc_info=error)

    async def _listen(self) -> None:
        """Run what is handed over, and ring the bell for what was given back; while this is deaf, polling goes on."""
        while True:
            try:
                async with self._queue.redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._queue.wake_channel, self._queue.hand_channel)
                    while True:
                        message = await pubsub.get_message(timeout=60)
                        if message is not None:
                            await self._hear(message["type"], message["channel"].decode(), message["data"])
            except REDIS_FAULTS:
                self._listens = False
                await asyncio.sleep(REDIS_PAUSE_S)

    async def _hear(self, kind: str, channel: str, message: bytes) -> None:
        self._redis.is_over()
        if channel != self._queue.hand_channel:
            self._bell.set()
        elif kind == "subscribe":
            # The next look that finds nothing says so, and what comes then is handed over.
            self._listens = True
            self._bell.set()
        elif (delivery := self._queue.handed(message)) is None:
            self._has_left.set()
        else:
            await reached(Point.LEASED, _jobs_of([delivery]))
            self._start([delivery])
            asyncio.get_running_loop().call_later(SOON_S, self._bell.set)

    async def _finish_running(self, grace_s: float) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(set(self._running), timeout=grace_s)
        if late:
            log.info("handing back %d claims", len(late))
            await cancel(late)


def grouped(deliveries: Iterable[Delivery], max_deaths: int) -> Iterator[list[Delivery]]:
    """What is claimed together: batches of one collection that were handed out, and met faults, as often.

    Fresh ones stay among themselves, for nobody looks for their receipts first.
    """
    open_groups: dict[object, tuple[list[Delivery], int]] = {}
    for delivery in deliveries:
        if delivery.content is None:
            yield [delivery]
            continue
        jobs, most = len(delivery.content.jobs), together(delivery, max_deaths)
        alike = delivery.content.collection, delivery.number == 1, delivery.spent, delivery.deaths
        group, size = open_groups.get(alike, ([], 0))
        if group and size + jobs > most:
            yield group
            group, size = [], 0
        group.append(delivery)
        open_groups[alike] = (group, size + jobs)
    for group, _ in open_groups.values():
        yield group


def _jobs_of(deliveries: Iterable[Delivery]) -> Iterator[UUID]:
    return (job.id for delivery in deliveries if delivery.content is not None for job in delivery.content.jobs)
