"""Jobs that are sent again: a new job with the content of one that ended without a row."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from pydantic import BaseModel, Field

from api.callers import Caller
from api.door import Door, unknown_job
from api.problems import ProblemError, refuse
from shared.clock import utc_now
from shared.collections import Add, Collection, InvalidAdd
from shared.contract import OUTCOMES, Job, JobView, Status
from shared.encoding import encode
from shared.ids import retry_id
from shared.problems import Kind, Problem, problem
from shared.receipts import Receipt, read_receipts
from shared.tickets import Waiting

RETRYABLE = OUTCOMES - {Status.SUCCEEDED}

TOGETHER = 20
"""Jobs whose content is held at a time: an add may have a megabyte."""


class Retried(BaseModel):
    """A job, and the one that has its content once more, or why there is none."""

    job: UUID
    retry: JobView | None
    is_new: bool = Field(description="Whether it was sent just now, and not by an earlier call")
    error: Problem | None

    def at(self, root: str) -> "Retried":
        """The same, as it is told to whom dibs stands at `root`."""
        again, error = self.retry, self.error
        return self.model_copy(
            update={"retry": again.at(root) if again else None, "error": error.at(root) if error else None}
        )


class RetryDoor:
    """What the routes that send jobs again do, without HTTP.

    The id of the new job is derived from the old one's: however often it is asked for, there is one. It belongs to
    whom the old one belongs to.
    """

    def __init__(self, door: Door) -> None:
        self._door = door

    async def retry(self, caller: Caller, job: UUID) -> JobView:
        """The job that repeats `job`, as it stands; sends it if there is none yet."""
        found = await self._door.find(caller, job)
        if isinstance(found, Waiting):
            raise _not_retryable(f"the job has not ended: it is {found.status}", found.view())
        receipt = (await self._receipts([job])).get(job)
        if receipt is None:
            raise unknown_job()
        return (await self._again(caller, receipt))[0]

    async def retry_all(self, caller: Caller, jobs: Sequence[UUID]) -> list[Retried]:
        """As `retry` for each of `jobs`, which have ended and are the caller's to see.

        What cannot be sent is told in its place. What ends it all, such as a full queue, is raised: what was sent
        by then was sent, and when it is asked for again it is found.
        """
        retried: list[Retried] = []
        for start in range(0, len(jobs), TOGETHER):
            part = jobs[start : start + TOGETHER]
            receipts = await self._receipts(part)
            told = await asyncio.gather(
                *(self._told(caller, receipts[job]) for job in part if job in receipts), return_exceptions=True
            )
            for one in told:
                if isinstance(one, BaseException):
                    raise one
                retried.append(one)
        return retried

    async def _told(self, caller: Caller, receipt: Receipt) -> Retried:
        try:
            again, is_new = await self._again(caller, receipt)
        except ProblemError as no:
            if no.problem.kind in {Kind.NOT_RETRYABLE, Kind.INVALID}:
                return Retried(job=receipt.id, retry=None, is_new=False, error=no.problem)
            raise
        return Retried(job=receipt.id, retry=again, is_new=is_new, error=None)

    async def _again(self, caller: Caller, receipt: Receipt) -> tuple[JobView, bool]:
        """The job that repeats that of `receipt`, and whether it is this call that sent it."""
        collection, add = self._add_of(receipt)
        again = retry_id(receipt.id)
        if known := await self._door.reader.look(again):
            return known.view(), False
        job = Job(
            id=again,
            candidates=add.candidates,
            values=add.values,
            fingerprint=add.fingerprint(collection.name),
            submitted_at=utc_now(),
            caller=receipt.caller,
            retry_of=receipt.id,
        )
        # Somebody else may send it at the same moment: its id is the same, and so it is one job.
        taken = await self._door.take_in(caller, collection, job, may_be_known=True)
        return taken or JobView.queued(job, collection.name), True

    def _add_of(self, receipt: Receipt) -> tuple[Collection, Add]:
        """What is to be sent; raises the 409 where nothing can be, the 422 where it no longer fits."""
        if receipt.status not in RETRYABLE:
            raise _not_retryable("the job succeeded", receipt.view())
        if receipt.content is None:
            raise _not_retryable("nothing is left of what the job was, or it never was an add", receipt.view())
        collection = self._door.collections.get(receipt.collection)
        if collection is None:
            raise _not_retryable(f"there is no collection {receipt.collection} any more", receipt.view())
        try:
            return collection, collection.parse_add(encode(receipt.content))
        except InvalidAdd as misfit:
            detail = f"the job's content no longer fits {collection.name}: {misfit}"
            raise refuse(Kind.INVALID, detail, errors=misfit.faults) from None

    async def _receipts(self, jobs: Sequence[UUID]) -> dict[UUID, Receipt]:
        with self._door.at_hand.database():
            async with self._door.database.reads() as session:
                return await read_receipts(session, jobs)


def _not_retryable(detail: str, job: JobView) -> ProblemError:
    return ProblemError(problem(Kind.NOT_RETRYABLE, detail), job=job)
