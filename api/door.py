"""What the routes do, without HTTP: take a job in, say where it stands, wait for it, cancel it."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from api.at_hand import AtHand
from api.callers import Caller
from api.grouping import Grouping
from api.metrics import ApiMetrics
from api.problems import ProblemError, refuse
from api.reader import Found, Reader
from api.slots import Slots
from api.waiters import Ear, Waiters
from shared.clock import utc_now
from shared.collections import Add, Collection
from shared.contract import Job, JobView, Status
from shared.database import Database
from shared.ids import as_id, keyed_id, new_id
from shared.points import Point, reached
from shared.problems import Kind, problem
from shared.queue import Queue, QueueFull
from shared.rates import Rates
from shared.receipts import Receipt, read_receipts, write_receipts
from shared.settings import Settings
from shared.tickets import Waiting

GLANCE_S = 1.0
"""How long a submit may ask the database for an old receipt, and how long it does not ask after a failure."""


@dataclass
class Door:
    """Everything that the routes need, made once for each app."""

    settings: Settings
    database: Database
    queue: Queue
    at_hand: AtHand
    collections: dict[str, Collection]
    reader: Reader
    waiters: Waiters
    grouping: Grouping
    waits: Slots
    streams: Slots
    rates: Rates
    metrics: ApiMetrics
    blind_until: float = 0.0

    def collection(self, name: str) -> Collection:
        try:
            return self.collections[name]
        except KeyError:
            there = ", ".join(sorted(self.collections))
            raise refuse(Kind.UNKNOWN_COLLECTION, f"there is no {name!r}, only {there}") from None

    def new_job(self, caller: Caller, collection: Collection, add: Add, key: str | None) -> Job:
        """`add` as a job of `caller`, always the same for each of its idempotency keys."""
        return Job(
            id=new_id() if key is None else keyed_id(caller.name, key),
            candidates=add.candidates,
            values=add.values,
            fingerprint=add.fingerprint(collection.name),
            submitted_at=utc_now(),
            caller=caller.name,
        )

    async def take_in(self, caller: Caller, collection: Collection, job: Job, *, may_be_known: bool) -> JobView | None:
        """Put `job` into the queue, or return the one that is known by its id, which must be the same add."""
        with self.at_hand.queue():
            try:
                submitted = await self.grouping.submit(collection.name, job)
            except QueueFull:
                raise refuse(
                    Kind.QUEUE_FULL, f"no more than {self.queue.limit} jobs may wait; this one was not taken in"
                ) from None
        await reached(Point.ENQUEUED, [job.id])
        if may_be_known and (receipt := (await self.old_receipts([job.id])).get(job.id)):
            # The receipt is the truth, whatever the queue says. What was queued just now is harmless: a worker
            # finds the receipt as well. But its ticket would speak for the key until then.
            if submitted.held is None:
                with self.at_hand.queue():
                    await self.queue.forget(job.id)
            _same_add(receipt.fingerprint, job.fingerprint)
            self.metrics.submitted(collection.name, repeated=1)
            return receipt.view()
        if submitted.held is not None:
            _same_add(submitted.held.fingerprint, job.fingerprint)
            found = await self.find(caller, job.id)
            self.metrics.submitted(collection.name, repeated=1)
            return found.view()
        self.metrics.submitted(collection.name, accepted=1)
        return None

    async def find(self, caller: Caller, job: UUID) -> Found:
        """Where the job stands; another caller's is as unknown as one that never was."""
        found = await self.reader.look(job)
        if found is None or not caller.may_see(found.caller):
            raise unknown_job()
        return found

    @contextlib.contextmanager
    def wait(self, wanted_s: float | None) -> Iterator[float | None]:
        """How long a request may wait: as long as it wants, or None, as if it had not asked, where too many do."""
        if not wanted_s:
            yield wanted_s
            return
        with self.waits.one() as has_room:
            yield wanted_s if has_room else None

    async def outcome(self, caller: Caller, job: UUID, wait_s: float, *, ear: Ear | None = None) -> Found:
        """The job when it has ended, or as it stands after `wait_s`; an `ear` has listened since before its submit."""
        deadline = time.monotonic() + wait_s
        with self.metrics.waiting() as ended, contextlib.ExitStack() as stack:
            found: Found | None = None
            if ear is None:
                ear = stack.enter_context(self.waiters.listening(job))
                found = await self.find(caller, job)
            if not isinstance(found, Receipt):
                found = await ear.news(deadline - time.monotonic()) or await self.find(caller, job)
            if isinstance(found, Receipt):
                ended()
        return found

    async def cancel(self, caller: Caller, job_id: str) -> JobView:
        """Try to write the job's receipt first; raises the 409 with the real outcome where that came too late."""
        found = await self.find(caller, id_of(job_id))
        receipt = await self._end(found) if isinstance(found, Waiting) else found
        if receipt.status is Status.CANCELLED:
            return receipt.view()
        raise ProblemError(problem(Kind.TOO_LATE, f"the job has {receipt.status}"), job=receipt.view())

    async def _end(self, waiting: Waiting) -> Receipt:
        """The receipt of a job that waited a moment ago: cancelled, unless a worker came first."""
        with self.at_hand.queue():
            job = await self.queue.job(waiting)
        cancelled = Receipt.cancelled(job, waiting.ticket.collection, tries=waiting.tries)
        with self.at_hand.database():
            async with self.database.writes.begin() as session:
                is_first = bool(await write_receipts(session, [cancelled]))
                receipt = (await read_receipts(session, [job.id]))[job.id]
        await reached(Point.CANCELLED, [job.id])
        if is_first:
            self.metrics.cancelled(receipt.collection)
        with self.at_hand.queue():
            await self.queue.settle([receipt])
        return receipt

    async def old_receipts(self, jobs: Sequence[UUID]) -> dict[UUID, Receipt]:
        """The receipts of jobs that were submitted with a key; none while the database is away."""
        if time.monotonic() < self.blind_until:
            return {}
        try:
            async with asyncio.timeout(GLANCE_S):
                with self.at_hand.database():
                    async with self.database.reads() as session:
                        return await read_receipts(session, jobs)
        except (ProblemError, TimeoutError):
            self.blind_until = time.monotonic() + GLANCE_S
            return {}


def id_of(text: str) -> UUID:
    """The id of a job in an address; raises the 404 of an unknown job."""
    job = as_id(text)
    if job is None:
        raise unknown_job()
    return job


def unknown_job() -> ProblemError:
    return refuse(Kind.UNKNOWN_JOB, "no receipt and no waiting job has this id")


def _same_add(known: str, fingerprint: str) -> None:
    if known != fingerprint:
        raise refuse(Kind.KEY_REUSED, "this key was used for another add; an add of its own needs a key of its own")
