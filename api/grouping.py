"""Submits that arrive while an enqueue is on its way leave together as the next batch.

There is no timer: the first submit leaves at once, and however many came until Redis confirmed it follow in one
round trip. So a batch has one job when it is quiet and many under load.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from api.metrics import ApiMetrics
from shared.contract import MAX_BATCH, Job
from shared.queue import Queue, QueueFull
from shared.tasks import cancel
from shared.tickets import Submitted
from shared.tracing import Tracing

_Waiting = tuple[Job, "asyncio.Future[Submitted]"]


class Grouping:
    """Groups the submits of one process, each collection by itself."""

    def __init__(self, queue: Queue, metrics: ApiMetrics, tracing: Tracing | None = None) -> None:
        self._queue = queue
        self._metrics = metrics
        self._tracing = tracing
        self._arrived: defaultdict[str, list[_Waiting]] = defaultdict(list)
        self._senders: dict[str, asyncio.Task[None]] = {}

    async def submit(self, collection: str, job: Job) -> Submitted:
        """As `Queue.submit` does for one job; raises what that raises for its batch."""
        if self._tracing is None:
            return await self._enqueued(collection, job)
        with self._tracing.sending(collection, [job]) as [traced]:
            return await self._enqueued(collection, traced)

    async def submit_all(self, collection: str, jobs: Sequence[Job]) -> list[Submitted]:
        """As `Queue.submit` does: `jobs` are a group already."""
        began_s = time.perf_counter()
        if self._tracing is None:
            submitted = await self._queue.submit(collection, jobs)
        else:
            with self._tracing.sending(collection, jobs) as traced:
                submitted = await self._queue.submit(collection, traced)
        self._metrics.enqueued(len(jobs), time.perf_counter() - began_s)
        return submitted

    async def _enqueued(self, collection: str, job: Job) -> Submitted:
        answer: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        self._arrived[collection].append((job, answer))
        if collection not in self._senders:
            self._senders[collection] = asyncio.create_task(self._send(collection), name=f"enqueue {collection}")
        return await answer

    async def _send(self, collection: str) -> None:
        try:
            while arrived := self._arrived.pop(collection, []):
                for start in range(0, len(arrived), MAX_BATCH):
                    await self._send_batch(collection, arrived[start : start + MAX_BATCH])
        finally:
            del self._senders[collection]

    async def _send_batch(self, collection: str, batch: list[_Waiting]) -> None:
        began_s = time.perf_counter()
        try:
            submitted = await self._queue.submit(collection, [job for job, _ in batch])
        except QueueFull as full:
            if len(batch) == 1:
                _tell(batch, full)
                return
            # There may be room for some of them.
            middle = len(batch) // 2
            await self._send_batch(collection, batch[:middle])
            await self._send_batch(collection, batch[middle:])
        except asyncio.CancelledError:
            _tell(batch, ConnectionError("stopped"))
            raise
        except Exception as error:  # noqa: BLE001  # the callers get it
            _tell(batch, error)
        else:
            self._metrics.enqueued(len(batch), time.perf_counter() - began_s)
            for (_, answer), one in zip(batch, submitted, strict=True):
                with suppress(asyncio.InvalidStateError):
                    answer.set_result(one)

    async def close(self) -> None:
        await cancel(self._senders.values())


def _tell(batch: list[_Waiting], error: Exception) -> None:
    """Let the callers know; one that went away has cancelled its future."""
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
