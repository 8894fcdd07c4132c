"""A worker's pulse: renews the leases of what it runs, and says that it lives."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count, islice
from typing import NamedTuple

from arq.constants import in_progress_key_prefix

from shared.clock import utc_now
from shared.contract import Batch
from shared.queue import Queue
from shared.redis import REDIS_FAULTS
from shared.tickets import Delivery, Running, Worker
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 4
BEATS_PER_NAME = 10

SHOWN = 20
"""Batches that a worker tells of, the longest running first; it may hold thousands."""


class _Held(NamedTuple):
    content: Batch | None
    since: datetime


class Pulse:
    """Holds the leases of one worker. A worker that dies stops renewing, and others take its batches up."""

    def __init__(self, queue: Queue, lease_s: float, metrics: WorkerMetrics) -> None:
        self._queue = queue
        self._metrics = metrics
        self._lease_ms = int(lease_s * 1000)
        self._held: dict[str, _Held] = {}
        self._lost: set[str] = set()
        self._started_at = utc_now()
        self._beats = count()
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    @contextmanager
    def lease(self, deliveries: Sequence[Delivery]) -> Iterator[None]:
        now = utc_now()
        self._held.update((delivery.batch, _Held(delivery.content, now)) for delivery in deliveries)
        try:
            yield
        finally:
            for delivery in deliveries:
                self._held.pop(delivery.batch, None)
                self._lost.discard(delivery.batch)

    def holds(self, batch: str) -> bool:
        return batch in self._held

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
        asked = tuple(batches)
        async with self._queue.redis.pipeline(transaction=False) as pipe:
            for batch in asked:
                pipe.pexpire(f"{in_progress_key_prefix}{batch}", self._lease_ms)
            renewed = await pipe.execute()
        # A batch is let go of before its lease is given back, so what is still held here should have one.
        lost = {batch for batch, is_there in zip(asked, renewed, strict=True) if not is_there}
        self._tell_lost((lost & self._held.keys()) - self._lost)

    def _tell_lost(self, batches: set[str]) -> None:
        for batch in sorted(batches):
            log.warning("the lease of batch %s ran out while it ran", batch, extra={"batch": batch})
        self._metrics.leases_lost(len(batches))
        self._lost |= batches

    async def _beat(self) -> None:
        await self.renew(self._held)
        shown = [
            Running(batch, content.collection if content else None, len(content.jobs) if content else 0, since)
            for batch, (content, since) in islice(self._held.items(), SHOWN)
        ]
        worker = Worker(self.name, self._started_at, shown, more=len(self._held) - len(shown))
        by_name = next(self._beats) % BEATS_PER_NAME == 0
        await self._queue.show_worker(worker, self._lease_ms, by_name=by_name)
