"""Submits that arrive while an enqueue is on its way to Redis leave together as the next batch."""

import time
from collections.abc import Sequence
from functools import partial

from api.metrics import ApiMetrics
from api.together import Together
from shared.contract import MAX_BATCH, Job
from shared.queue import Queue, QueueFull
from shared.tickets import Submitted
from shared.tracing import Tracing

WORTH = 16
"""Submits that are worth a round trip of their own while another is under way: its wait for the disk is then shared."""


class Grouping:
    """Groups the submits of one process, each collection by itself."""

    def __init__(self, queue: Queue, metrics: ApiMetrics, tracing: Tracing | None = None) -> None:
        self._queue = queue
        self._metrics = metrics
        self._tracing = tracing
        self._senders: dict[str, Together[Job, Submitted]] = {}

    async def submit(self, collection: str, job: Job) -> Submitted:
        """As `Queue.submit` does for one job; raises what that raises."""
        if self._tracing is None:
            return await self._grouped(collection, job)
        with self._tracing.sending(collection, [job]) as [traced]:
            return await self._grouped(collection, traced)

    async def submit_all(self, collection: str, jobs: Sequence[Job]) -> list[Submitted]:
        """As `Queue.submit` does: `jobs` are a group already."""
        if self._tracing is None:
            return await self._enqueue(collection, jobs)
        with self._tracing.sending(collection, jobs) as traced:
            return await self._enqueue(collection, traced)

    async def _grouped(self, collection: str, job: Job) -> Submitted:
        sender = self._senders.get(collection)
        if sender is None:
            send = partial(self._send, collection)
            sender = self._senders[collection] = Together(f"enqueue {collection}", send, most=MAX_BATCH, worth=WORTH)
        return await sender.get(job)

    async def _send(self, collection: str, jobs: Sequence[Job]) -> Sequence[Submitted | Exception]:
        submitted = await self._enqueue(collection, jobs, partly=True)
        return [one if one.room else QueueFull() for one in submitted]

    async def _enqueue(self, collection: str, jobs: Sequence[Job], *, partly: bool = False) -> list[Submitted]:
        began_s = time.perf_counter()
        submitted = await self._queue.submit(collection, jobs, partly=partly)
        self._metrics.enqueued(len(jobs), time.perf_counter() - began_s)
        return submitted

    async def close(self) -> None:
        for sender in self._senders.values():
            await sender.close()
