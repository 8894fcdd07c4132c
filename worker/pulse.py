"""A worker's pulse: renews the leases of what it runs, and says that it lives."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from arq.constants import in_progress_key_prefix

from shared.queue import Queue
from shared.redis import REDIS_FAULTS

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 4


class Pulse:
    """Holds the leases of one worker. A worker that dies stops renewing, and others take its batches up."""

    def __init__(self, queue: Queue, lease_s: float) -> None:
        self._queue = queue
        self._lease_ms = int(lease_s * 1000)
        self._held: set[str] = set()
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    @contextmanager
    def lease(self, batches: Iterable[str]) -> Iterator[None]:
        self._held.update(batches)
        try:
            yield
        finally:
            self._held.difference_update(batches)

    async def beat_for_ever(self) -> None:
        while True:
            try:
                await self._beat()
            except REDIS_FAULTS:
                # The runner tells of the outage; leases run out, and receipts keep that harmless.
                log.debug("no pulse", exc_info=True)
            await asyncio.sleep(self._lease_ms / 1000 / BEATS_PER_LEASE)

    async def renew(self, batches: Iterable[str]) -> None:
        """Let the leases of `batches` begin anew, where they still exist: a lost one is another worker's by now."""
        async with self._queue.redis.pipeline(transaction=False) as pipe:
            for batch in tuple(batches):
                pipe.pexpire(f"{in_progress_key_prefix}{batch}", self._lease_ms)
            await pipe.execute()

    async def _beat(self) -> None:
        await self.renew(self._held)
        await self._queue.redis.set(self._queue.worker_key(self.name), len(self._held), px=self._lease_ms)
