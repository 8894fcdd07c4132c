"""What the routes do, without HTTP: take a job in, say where it stands, wait for it, cancel it."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from api.grouping import Grouping
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

CALLER = ""
"""Whose idempotency keys these are; everybody's, as long as there are no API keys."""

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
    blind_until: float = 0.0

    def collection(self, name: str) -> Collection:
        try:
            return self.collections[name]
        except KeyError:
            there = ", ".join(sorted(self.collections))
            raise refuse(Kind.UNKNOWN_COLLECTION, f"there is {there}") from None

    async def submit(self, collection: Collection, add: Add, key: str | None) -> JobView:
        """Put `add` into the queue, once for each idempotency key, and return the job."""
        fingerprint = add.fingerprint(collection.name)
        job = Job(
            id=new_id() if key is None else keyed_id(CALLER, key),
            candidates=add.candidates,
            values=add.values,
            fingerprint=fingerprint,
            submitted_at=utc_now(),
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
                    await self.queue.settle([job.id])
            _same_add(receipt.fingerprint, fingerprint)
            return receipt.view()
        if submitted.held is not None:
            _same_add(submitted.held.fingerprint, fingerprint)
            return await self.job(str(job.id))
        return JobView.queued(job, collection.name)

    async def job(self, job_id: str) -> JobView:
        """Where the job stands: its receipt, else what Redis knows, else its receipt, for it may have just ended."""
        wanted = as_id(job_id)
        if wanted is None:
            raise _unknown_job()
        database_away: ProblemError | None = None
        try:
            if receipt := await self._receipt(wanted):
                return receipt.view()
        except ProblemError as away:
            database_away = away
        with queue_at_hand():
            waiting = await self.queue.look(wanted)
        if waiting is not None:
            return waiting.view()
        if database_away is not None:
            raise database_away
        if receipt := await self._receipt(wanted):
            return receipt.view()
        raise _unknown_job()

    async def outcome(self, job_id: str, wait_s: float) -> JobView:
        """The job when it has ended, or as it stands after `wait_s`."""
        deadline = time.monotonic() + wait_s
        async with self.waiters.expecting(job_id) as ended:
            while True:
                ended.clear()
                view = await self.job(job_id)
                left_s = deadline - time.monotonic()
                if view.status.is_outcome or left_s <= 0 or self.waiters.closed:
                    return view
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, LOOK_AGAIN_S)):
                        await ended.wait()

    async def cancel(self, job_id: str) -> JobView:
        """Try to write the job's receipt first; raises the 409 with the real outcome where that came too late."""
        view = await self.job(job_id)
        if not view.status.is_outcome:
            view = await self._cancelled(view)
        if view.status is Status.CANCELLED:
            return view
        raise ProblemError(problem(Kind.TOO_LATE, f"the job has {view.status}"), job=view)

    async def _cancelled(self, view: JobView) -> JobView:
        with queue_at_hand():
            waiting = await self.queue.look(view.id)
        if waiting is None:
            return await self.job(str(view.id))
        receipt = Receipt.cancelled(waiting.job(), waiting.ticket.collection, tries=waiting.tries)
        with database_at_hand():
            async with self.database.writes.begin() as session:
                await write_receipts(session, [receipt])
                receipt = (await read_receipts(session, [view.id]))[view.id]
        with queue_at_hand():
            await self.queue.settle([view.id])
        return receipt.view()

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


def _unknown_job() -> ProblemError:
    return refuse(Kind.UNKNOWN_JOB, "no receipt and no waiting job has this id")
