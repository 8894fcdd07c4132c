"""What the routes do, without HTTP: take a job in, say where it stands, wait for it, cancel it."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from api.callers import Caller
from api.grouping import Grouping
from api.metrics import ApiMetrics
from api.problems import ProblemError, database_at_hand, queue_at_hand, refuse
from api.waiters import Waiters
from shared.clock import utc_now
from shared.collections import Add, Collection
from shared.contract import Job, JobView, Status
from shared.database import Database
from shared.ids import as_id, keyed_id, new_id
from shared.problems import Kind, problem
from shared.queue import Queue, QueueFull
from shared.receipts import Receipt, read_receipts, write_receipts
from shared.settings import Settings
from shared.tickets import Waiting

LOOK_AGAIN_S = 1.0
"""How long a wait relies on being woken."""

GLANCE_S = 1.0
"""How long a submit may ask the database for an old receipt, and how long it does not ask after a failure."""


@dataclass
class Door:
    """Everything that the routes need, made once for each app."""

    settings: Settings
    database: Database
    queue: Queue
    collections: dict[str, Collection]
    waiters: Waiters
    grouping: Grouping
    metrics: ApiMetrics
    blind_until: float = 0.0

    def collection(self, name: str) -> Collection:
        try:
            return self.collections[name]
        except KeyError:
            there = ", ".join(sorted(self.collections))
            raise refuse(Kind.UNKNOWN_COLLECTION, f"there is {there}") from None

    async def submit(self, caller: Caller, collection: Collection, add: Add, key: str | None) -> JobView:
        """Put `add` into the queue, once for each idempotency key of `caller`, and return the job."""
        fingerprint = add.fingerprint(collection.name)
        job = Job(
            id=new_id() if key is None else keyed_id(caller.name, key),
            candidates=add.candidates,
            values=add.values,
            fingerprint=fingerprint,
            submitted_at=utc_now(),
            caller=caller.name,
        )
        with queue_at_hand():
            try:
                submitted = await self.grouping.submit(collection.name, job)
            except QueueFull:
                raise refuse(
                    Kind.QUEUE_FULL, f"no more than {self.queue.limit} jobs may wait; this one was not taken in"
                ) from None
        if key is not None and (receipt := (await self.old_receipts([job.id])).get(job.id)):
            # The receipt is the truth, whatever the queue says. What was queued just now is harmless: a worker
            # finds the receipt as well. But its ticket would speak for the key until then.
            if submitted.held is None:
                with queue_at_hand():
                    await self.queue.forget(job.id)
            _same_add(receipt.fingerprint, fingerprint)
            self.metrics.submitted(collection.name, repeated=1)
            return receipt.view()
        if submitted.held is not None:
            _same_add(submitted.held.fingerprint, fingerprint)
            view = await self.job(caller, str(job.id))
            self.metrics.submitted(collection.name, repeated=1)
            return view
        self.metrics.submitted(collection.name, accepted=1)
        return JobView.queued(job, collection.name)

    async def job(self, caller: Caller, job_id: str) -> JobView:
        """Where the job stands; another caller's is as unknown as one that never was."""
        return (await self._find(caller, job_id)).view()

    async def _find(self, caller: Caller, job_id: str) -> Receipt | Waiting:
        wanted = as_id(job_id)
        found = await self._look(wanted) if wanted else None
        if found is None or not caller.may_see(found.caller):
            raise refuse(Kind.UNKNOWN_JOB, "no receipt and no waiting job has this id")
        return found

    async def _look(self, job: UUID) -> Receipt | Waiting | None:
        """The job's receipt, else what Redis knows, else its receipt, for it may have just ended."""
        database_away: ProblemError | None = None
        try:
            if receipt := await self._receipt(job):
                return receipt
        except ProblemError as away:
            database_away = away
        with queue_at_hand():
            waiting = await self.queue.look(job)
        if waiting is not None:
            return waiting
        if database_away is not None:
            raise database_away
        return await self._receipt(job)

    async def outcome(self, caller: Caller, job_id: str, wait_s: float) -> JobView:
        """The job when it has ended, or as it stands after `wait_s`."""
        began_s = time.monotonic()
        deadline, has_ended = began_s + wait_s, False
        try:
            async with self.waiters.expecting(job_id) as ended:
                while True:
                    ended.clear()
                    view = await self.job(caller, job_id)
                    left_s = deadline - time.monotonic()
                    has_ended = view.status.is_outcome
                    if has_ended or left_s <= 0 or self.waiters.closed:
                        return view
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(min(left_s, LOOK_AGAIN_S)):
                            await ended.wait()
        finally:
            self.metrics.waited(time.monotonic() - began_s, has_ended=has_ended)

    async def cancel(self, caller: Caller, job_id: str) -> JobView:
        """Try to write the job's receipt first; raises the 409 with the real outcome where that came too late."""
        found = await self._find(caller, job_id)
        receipt = await self._end(found) if isinstance(found, Waiting) else found
        if receipt.status is Status.CANCELLED:
            return receipt.view()
        raise ProblemError(problem(Kind.TOO_LATE, f"the job has {receipt.status}"), job=receipt.view())

    async def _end(self, waiting: Waiting) -> Receipt:
        """The receipt of a job that waited a moment ago: cancelled, unless a worker came first."""
        with queue_at_hand():
            job = await self.queue.job(waiting)
        cancelled = Receipt.cancelled(job, waiting.ticket.collection, tries=waiting.tries)
        with database_at_hand():
            async with self.database.writes.begin() as session:
                is_first = bool(await write_receipts(session, [cancelled]))
                receipt = (await read_receipts(session, [job.id]))[job.id]
        if is_first:
            self.metrics.cancelled(receipt.collection)
        with queue_at_hand():
            await self.queue.settle([receipt])
        return receipt

    async def _receipt(self, job: UUID) -> Receipt | None:
        with database_at_hand():
            async with self.database.reads() as session:
                return (await read_receipts(session, [job])).get(job)

    async def old_receipts(self, jobs: Sequence[UUID]) -> dict[UUID, Receipt]:
        """The receipts of jobs that were submitted with a key; none while the database is away."""
        if time.monotonic() < self.blind_until:
            return {}
        try:
            async with asyncio.timeout(GLANCE_S):
                with database_at_hand():
                    async with self.database.reads() as session:
                        return await read_receipts(session, jobs)
        except (ProblemError, TimeoutError):
            self.blind_until = time.monotonic() + GLANCE_S
            return {}


def _same_add(known: str, fingerprint: str) -> None:
    if known != fingerprint:
        raise refuse(Kind.KEY_REUSED, "this key was used for another add; an add of its own needs a key of its own")
