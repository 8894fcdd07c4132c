"""Requests that wait for a job: one subscription for all of them, however many there are."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.queue import Queue
from shared.redis import REDIS_FAULTS

log = logging.getLogger(__name__)

RECONNECT_S = 0.5


class Waiters:
    """Wakes whoever waits for a job when a worker says that it ended.

    A message may get lost while Redis is away: a wait looks again by itself once in a while.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._events: dict[str, set[asyncio.Event]] = {}
        self.closed = False

    def close(self) -> None:
        """Let every wait end at once, with the job as it stands: the server stops."""
        self.closed = True
        for events in self._events.values():
            for event in events:
                event.set()

    def how_many(self) -> int:
        """Waits that are open now."""
        return sum(map(len, self._events.values()))

    @asynccontextmanager
    async def expecting(self, job: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever `job` may have ended."""
        event = asyncio.Event()
        self._events.setdefault(job, set()).add(event)
        try:
            yield event
        finally:
            events = self._events[job]
            events.discard(event)
            if not events:
                del self._events[job]

    async def listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except REDIS_FAULTS:
                await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        async with self._queue.redis.pubsub() as pubsub:
            await pubsub.subscribe(self._queue.done_channel)
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=60)
                if message is not None:
                    self._wake(message["data"].decode())

    def _wake(self, jobs: str) -> None:
        if not self._events:
            return
        for job in jobs.split():
            for event in self._events.get(job, ()):
                event.set()
