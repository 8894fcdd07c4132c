"""What a worker holds, and what it does with the batches that were handed to it."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from random import Random
from uuid import UUID

from shared.clock import utc_now
from shared.collections import Collection
from shared.contract import Job
from shared.database import Database
from shared.faults import Fault, FaultClass
from shared.ids import as_id
from shared.points import Point, reached
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

CLAIM_JOBS = 500
"""Jobs that are claimed together. A larger claim saves nothing more and keeps its locks for longer."""
CLAIM_SUSPECTS = 25
"""Jobs that are claimed together after a worker died under them."""

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
    _one_suspect: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, deliveries: Sequence[Delivery]) -> Verdict:
        """Run batches of one collection, with the same tries spent, as one claim.

        Of those under which workers died only one claim runs at a time, of as many as `together` says. A cancel
        leaves the jobs as they are, with no try spent.
        """
        batches = [delivery.batch for delivery in deliveries]
        is_suspect = deliveries[0].deaths > 0
        # The lease is kept while waiting for a turn, too. A suspect that waits for its own holds no slot.
        fresh = is_blamed = deliveries[0].number == 1
        with self.pulse.lease(deliveries), self.watch.delivery(deliveries):
            try:
                async with self._one_suspect if is_suspect else nullcontext(), self.slots:
                    if not is_blamed:
                        await self._note(self.queue.start(batches))
                        is_blamed = True
                    return await self._run(deliveries, fresh=fresh)
            except asyncio.CancelledError:
                if is_blamed:
                    await self._note(self.queue.excuse(batches))
                raise

    async def _run(self, deliveries: Sequence[Delivery], *, fresh: bool) -> Verdict:
        batches = [delivery.batch for delivery in deliveries]
        first = deliveries[0]
        if first.content is None:
            return await self._refuse(first.batch)
        jobs = [job for delivery in deliveries if delivery.content is not None for job in delivery.content.jobs]
        if first.deaths:
            log.warning("%s: taken up again; workers that went away under it: %d", _named(batches), first.deaths)
            if len(jobs) > 1 and together(first, self.max_deaths) == 1:
                log.error("%s: its jobs go on one by one", _named(batches))
                await self.queue.scatter(first.content)
                await reached(Point.SCATTERED, (job.id for job in jobs))
                return Ended({})
        error = None
        if first.deaths >= self.max_deaths:
            error = problem(Kind.POISON, f"{first.deaths} workers died while they ran this job")
            log.error("job %s is failed: %s", jobs[0].id, error.detail)
        else:
            await reached(Point.STARTED, (job.id for job in jobs))
        return await self._end(batches, first.content.collection, jobs, spent=first.spent, error=error, fresh=fresh)

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
                        # A worker that dies while it waits does not die of these batches.
                        await self._note(self.queue.excuse(batches))
                        try:
                            await self.outage.over(stop.fault)
                        finally:
                            await self._note(self.queue.start(batches))
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
                self.outage.passed()
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
        at_once = self.database.at_once
        return await end_jobs(self.database.writes, known, jobs, tries=tries, fresh=fresh, at_once=at_once)

    async def _judged(self, fault: Fault) -> Fault:
        """A timeout is an outage if the database answers nobody else either, or did not until now."""
        if fault.kind is FaultClass.TIMEOUT and (self.outage.goes_on or not await self.database.answers()):
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


def together(delivery: Delivery, max_deaths: int) -> int:
    """How many jobs may be claimed together with those of `delivery`, its own counted.

    A worker that died took all that it ran with it, and one of them may have killed it. So what was running is
    tried again by the few, and then one by one, and in each worker nothing else of the kind runs meanwhile: who
    dies then, dies of that one.
    """
    if delivery.content is None or delivery.deaths >= min(2, max_deaths - 1):
        return 1
    return CLAIM_SUSPECTS if delivery.deaths else CLAIM_JOBS


def _named(batches: Sequence[str]) -> str:
    return f"batch {batches[0]}" + (f" and {len(batches) - 1} more" if len(batches) > 1 else "")
