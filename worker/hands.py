"""What a worker holds, and what it does with one delivery of a batch."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from uuid import UUID

from arq.worker import Retry
from pydantic import ValidationError

from shared.collections import Collection
from shared.contract import Batch, Job
from shared.database import Database
from shared.faults import Fault, FaultClass
from shared.ids import as_id
from shared.problems import Kind, Problem, problem
from shared.queue import REDIS_FAULTS, Queue, utc_now
from shared.receipts import Receipt
from worker.batch import Interrupted, end_jobs, fail_jobs
from worker.outage import Outage
from worker.pulse import Pulse
from worker.retry import GiveUp, Later, Policy, Wait, decide

log = logging.getLogger(__name__)

UNKNOWN_COLLECTION = "unknown"


@dataclass
class Hands:
    """Born at an entrypoint, passed to the arq functions in their context. Holds factories, never a session."""

    database: Database
    queue: Queue
    collections: dict[str, Collection]
    policy: Policy
    pulse: Pulse
    outage: Outage
    max_deaths: int
    random: Random = field(default_factory=Random)

    async def run(self, batch_id: str, payload: object, deliveries: int) -> dict[UUID, Receipt]:
        """One delivery of a batch, from arq's hand into receipts; raises arq's `Retry` to have it again later."""
        try:
            batch = Batch.model_validate(payload)
        except ValidationError as error:
            log.error("batch %s is none of ours: %s", batch_id, error.errors(include_input=False)[0]["msg"])
            return await self.refuse(batch_id)
        with self.pulse.lease(batch_id):
            try:
                return await self._deliver(batch_id, batch, deliveries)
            except asyncio.CancelledError:
                await self._note(self.queue.excuse(batch_id))
                raise

    async def _deliver(self, batch_id: str, batch: Batch, deliveries: int) -> dict[UUID, Receipt]:
        spent, excused = await self.queue.progress(batch_id) if deliveries > 1 else (0, 0)
        if deliveries - 1 - excused >= self.max_deaths:
            if len(batch.jobs) > 1:
                log.error("batch %s: %d workers died under it; its jobs go on one by one", batch_id, deliveries - 1)
                await self.queue.scatter(batch)
                return {}
            error = problem(Kind.POISON, f"{deliveries - 1 - excused} workers died while they ran this job")
            return await self._settled(batch_id, batch, batch.jobs, error, spent)
        return await self._settled(batch_id, batch, batch.jobs, None, spent)

    async def _settled(
        self, batch_id: str, batch: Batch, jobs: Sequence[Job], error: Problem | None, spent: int
    ) -> dict[UUID, Receipt]:
        receipts = await self._end(batch_id, batch.collection, jobs, error, spent)
        # The receipts are committed: should Redis be away now, the next delivery finds them and comes here again.
        await self._note(self.queue.settle(receipts, batch_id))
        return receipts

    async def _end(
        self, batch_id: str, collection: str, jobs: Sequence[Job], error: Problem | None, spent: int
    ) -> dict[UUID, Receipt]:
        """Receipts for `jobs`: failed with `error` if there is one, else by the claim."""
        sessions, known = self.database.writes, self.collections.get(collection)
        if known is None and error is None:
            error = problem(Kind.UNKNOWN_COLLECTION, f"this worker knows no collection {collection!r}")
        while True:
            try:
                if error is not None or known is None:
                    assert error is not None
                    return await fail_jobs(sessions, collection, jobs, error, tries=spent + 1)
                return await end_jobs(sessions, known, jobs, tries=spent + 1)
            except Interrupted as stop:
                match decide(await self._judged(stop.fault), tries_spent=spent, policy=self.policy, random=self.random):
                    case Wait():
                        await self.outage.over()
                    case GiveUp(problem_):
                        error = problem_
                    case Later(delay_s, spends_try):
                        log.warning("batch %s: %s; again in %.2f s", batch_id, stop, delay_s)
                        count = self.queue.spend_try if spends_try else self.queue.excuse
                        await self._note(count(batch_id))
                        raise Retry(defer=delay_s) from stop

    async def _judged(self, fault: Fault) -> Fault:
        """A timeout is an outage if the database answers nobody else either."""
        if fault.kind is FaultClass.TIMEOUT and not await self.database.answers():
            return replace(fault, kind=FaultClass.OUTAGE)
        return fault

    async def refuse(self, batch_id: str) -> dict[UUID, Receipt]:
        """Fail the jobs of a batch whose payload cannot be read, so far as Redis still tells which they are."""
        waiting = await self.queue.waiting_of(batch_id)
        error = problem(Kind.UNREADABLE, "what stood in the queue is not a batch in JSON, or is of another version")
        receipts: dict[UUID, Receipt] = {}
        for lost in waiting:
            receipts |= await self._end(batch_id, lost.ticket.collection, [lost.job()], error, lost.tries)
        stray = as_id(batch_id)
        if not waiting and stray is not None:
            job = Job.model_construct(id=stray, candidates=[], values={}, fingerprint="", submitted_at=utc_now())
            receipts |= await self._end(batch_id, UNKNOWN_COLLECTION, [job], error, 0)
        if receipts:
            await self._note(self.queue.settle(receipts, batch_id))
        return receipts

    async def _note(self, command: Awaitable[None]) -> None:
        """Tell Redis something that may be lost without harm."""
        try:
            await command
        except REDIS_FAULTS:
            log.debug("not noted in Redis", exc_info=True)
