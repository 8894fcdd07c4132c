"""Submits that arrive while an enqueue is on its way to Redis leave together as the next batch."""

from collections.abc import Sequence
from functools import partial

from api.together import Together
from shared.contract import MAX_BATCH, Job
from shared.queue import Queue, QueueFull
from shared.tickets import Submitted


class Grouping:
    """Groups the submits of one process, each collection by itself."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._senders: dict[str, Together[Job, Submitted]] = {}

    async def submit(self, collection: str, job: Job) -> Submitted:
        """As `Queue.submit` does for one job; raises what that raises."""
        sender = self._senders.get(collection)
        if sender is None:
            send = partial(self._send, collection)
            sender = self._senders[collection] = Together(f"enqueue {collection}", send, most=MAX_BATCH)
        return await sender.get(job)

    async def _send(self, collection: str, jobs: Sequence[Job]) -> Sequence[Submitted | Exception]:
        submitted = await self._queue.submit(collection, jobs, partly=True)
        return [one if one.room else QueueFull() for one in submitted]

    async def close(self) -> None:
        for sender in self._senders.values():
            await sender.close()
