"""What a worker holds, and what it does with the batches that were handed to it."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from uuid import UUID

from shared.clock import utc_now
from shared.collections import Collection
from shared.contract import Job
from shared.database import Database
from shared.faults import Fault, FaultClass
from shared.ids import as_id
from shared.problems import Kind, Problem, problem
from shared.queue import Queue
from shared.receipts import Receipt
from shared.redis import REDIS_FAULTS
from shared.tickets import Delivery
from worker.batch import UNKNOWN_COLLECTION, Interrupted, end_jobs, fail_jobs, unknown_job
from worker.outage import Outage
from worker.pulse import Pulse
from worker.retry import GiveUp, Later, Policy, Wait, decide
from worker.watch import ClaimWatch, Watch

log = logging.getLogger(__name__)

UNREADABLE = "the queue holds nothing of the job that can be read: it is damaged, expired or of another version"


@dataclass(frozen=True)
class Ended:
    """Every job of the batches has its receipt; none where the jobs went on in batches of their own."""

    receipts: dict[UUID, Receipt]


@dataclass(frozen=True)
class Again:
    """The batches are to be handed out again after `delay_s`."""

    delay_s: float


Verdict = Ended | Again


@dataclass
class Hands:
    """Born at an entrypoint, passed to whatever runs batches. Holds factories, never a session."""

    database: Database
    queue: Queue
    collections: dict[str, Collection]
    policy: Policy
    pulse: Pulse
    outage: Outage
    slots: asyncio.Semaphore
    max_deaths: int
    watch: Watch
    random: Random = field(default_factory=Random)

    async def run(self, deliveries: Sequence[Delivery]) -> Verdict:
        """Run batches of one collection as one claim. Several at once only when each is handed out the first time.

        A cancel leaves the jobs as they are, with no try spent.
        """
        batches = [delivery.batch for delivery in deliveries]
        # The lease is kept while waiting for a slot, too.
        with self.pulse.lease(deliveries), self.watch.delivery(deliveries):
            try:
                async with self.slots:
                    if len(deliveries) == 1:
                        return await self._run_one(deliveries[0])
                    return await self._run_fresh(deliveries)
            except asyncio.CancelledError:
                await self._note(self.queue.excuse(batches))
                raise

    async def _run_one(self, delivery: Delivery) -> Verdict:
        if delivery.content is None:
            return await self._refuse(delivery.batch)
        if delivery.number == 1:
            return await self._run_fresh([delivery])
        spent, excused = await self.queue.progress(delivery.batch)
        deaths = delivery.number - 1 - excused
        collection, jobs = delivery.content.collection, delivery.content.jobs
        if deaths > 0:
            log.warning("batch %s is taken up again; %d workers went away under it", delivery.batch, deaths)
        if deaths < self.max_deaths:
            return await self._end([delivery.batch], collection, jobs, spent=spent)
        if len(jobs) > 1:
            log.error("batch %s: %d workers died under it; its jobs go on one by one", delivery.batch, deaths)
            await self.queue.scatter(delivery.content)
            return Ended({})
        error = problem(Kind.POISON, f"{deaths} workers died while they ran this job")
        log.error("job %s is failed: %s", jobs[0].id, error.detail)
        return await self._end([delivery.batch], collection, jobs, spent=spent, error=error)

    async def _run_fresh(self, deliveries: Sequence[Delivery]) -> Verdict:
        contents = [delivery.content for delivery in deliveries if delivery.content is not None]
        jobs = [job for content in contents for job in content.jobs]
        return await self._end([d.batch for d in deliveries], contents[0].collection, jobs, spent=0, fresh=True)

    async def _end(
        self,
        batches: Sequence[str],
        collection: str,
        jobs: Sequence[Job],
        *,
        spent: int,
        error: Problem | None = None,
        fresh: bool = False,
    ) -> Verdict:
        """Receipts for `jobs`: failed with `error` if there is one, else by the claim."""
        with self.watch.claim(collection, jobs, first=fresh) as claim:
            return await self._until_decided(claim, batches, collection, jobs, spent=spent, error=error, fresh=fresh)

    async def _until_decided(
        self,
        claim: ClaimWatch,
        batches: Sequence[str],
        collection: str,
        jobs: Sequence[Job],
        *,
        spent: int,
        error: Problem | None,
        fresh: bool,
    ) -> Verdict:
        while True:
            try:
                receipts = await self._receipts(collection, jobs, spent + 1, error, fresh=fresh)
            except Interrupted as stop:
                fault = await self._judged(stop.fault)
                claim.met(fault)
                match decide(fault, tries_spent=spent, policy=self.policy, random=self.random):
                    case Wait():
                        await self.outage.over()
                        fresh = False  # the commit may have come through before the connection was lost
                    case GiveUp(problem_) if error is None:
                        log.error("%s: %s; no more of them", _named(batches), stop)
                        error = problem_
                    case GiveUp():
                        # Not even the failed receipt could be written; that is no reason to lose the job.
                        claim.put_off(fault)
                        await self._note(self.queue.excuse(batches))
                        return Again(self.policy.cap_s)
                    case Later(delay_s, spends_try):
                        log.warning("%s: %s; again in %.2f s", _named(batches), stop, delay_s)
                        claim.put_off(fault)
                        await self._note((self.queue.spend_try if spends_try else self.queue.excuse)(batches))
                        return Again(delay_s)
            else:
                claim.ended(receipts.values())
                return Ended(receipts)

    async def _receipts(
        self, collection: str, jobs: Sequence[Job], tries: int, error: Problem | None, *, fresh: bool
    ) -> dict[UUID, Receipt]:
        known = self.collections.get(collection)
        if known is None and error is None:
            error = problem(Kind.UNKNOWN_COLLECTION, f"this worker knows no collection {collection!r}")
        if known is None or error is not None:
            assert error is not None
            return await fail_jobs(self.database.writes, collection, jobs, error, tries=tries)
        return await end_jobs(self.database.writes, known, jobs, tries=tries, fresh=fresh)

    async def _judged(self, fault: Fault) -> Fault:
        """A timeout is an outage if the database answers nobody else either."""
        if fault.kind is FaultClass.TIMEOUT and not await self.database.answers():
            return replace(fault, kind=FaultClass.OUTAGE)
        return fault

    async def _refuse(self, batch: str) -> Verdict:
        """Fail the jobs of a batch whose payload cannot be read, so far as Redis still tells which they are."""
        log.error("batch %s is not JSON of this version, and is failed; nothing of it was unpickled", batch)
        error = problem(
            Kind.UNREADABLE,
            UNREADABLE,
        )
        waiting = await self.queue.waiting_of(batch)
        jobs = [(lost.ticket.collection, lost.job()) for lost in waiting]
        stray = as_id(batch)
        if not jobs and stray is not None:
            jobs = [(UNKNOWN_COLLECTION, unknown_job(stray, utc_now()))]
        receipts: dict[UUID, Receipt] = {}
        for collection, job in jobs:
            verdict = await self._end([batch], collection, [job], spent=0, error=error)
            if isinstance(verdict, Again):
                return verdict
            receipts |= verdict.receipts
        return Ended(receipts)

    async def _note(self, command: Awaitable[None]) -> None:
        """Tell Redis something that may be lost without harm."""
        try:
            await command
        except REDIS_FAULTS:
            log.debug("not noted in Redis", exc_info=True)


def _named(batches: Sequence[str]) -> str:
    return f"batch {batches[0]}" + (f" and {len(batches) - 1} more" if len(batches) > 1 else "")
