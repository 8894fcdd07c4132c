"""Bulks: many adds in one request, taken in batch by batch, each line a job of its own."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from api.access import too_many
from api.callers import Caller
from api.door import Door
from api.problems import ProblemError, database_at_hand, queue_at_hand, refuse
from api.waiters import LOOK_AGAIN_S, REST
from shared.clock import utc_now
from shared.collections import Collection, InvalidAdd, MalformedAdd
from shared.contract import Job, Place, Status
from shared.ids import as_id, keyed_id, line_id, new_bulk_id
from shared.points import Point, reached
from shared.problems import Kind, Problem, problem
from shared.queue import QueueFull
from shared.rates import Rate
from shared.receipts import count_bulk, last_of_bulk, read_bulk
from shared.tickets import Bulk, Submitted

BATCH = 500
"""Lines that go into the queue together, and outcomes that are read together."""

ROOM_S = 20.0
"""How long a bulk waits for room in a full queue."""
LOOK_FOR_ROOM_S = 0.1
LOOK_FOR_STOP_S = 0.5

_TAKEN_IN = "; the bulk was taken in up to line {}: under an Idempotency-Key it is safe to send it again"
_NO_ROOM = "no room in the queue" + _TAKEN_IN


class BulkLinks(BaseModel):
    self: str
    results: str
    collection: str


class BulkView(BaseModel):
    """A bulk: how many lines were taken in so far, whether all were, and how many jobs stand where.

    `counts` is null where nobody has counted, as in the answer to the upload.
    """

    id: UUID
    collection: str
    complete: bool
    lines: int
    counts: dict[Status, int] | None
    links: BulkLinks

    @property
    def jobs_ended(self) -> int:
        return sum(count for status, count in (self.counts or {}).items() if status.is_outcome)

    @property
    def has_ended(self) -> bool:
        return self.complete and self.jobs_ended >= self.lines


class BulkDoor:
    """What the routes of bulks do, without HTTP."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def take_in(
        self, caller: Caller, collection: Collection, lines: AsyncIterator[bytes | None], key: str | None
    ) -> BulkView:
        """Put every line into the queue, a batch at a time, and return once Redis has confirmed the last.

        Under a key that was used before, every line must be what it was then.
        """
        bulk = new_bulk_id() if key is None else keyed_id(caller.name, f"bulk\0{key}")
        with queue_at_hand():
            known = await self._door.queue.bulk(bulk) if key is not None else None
        if known is not None and known.collection != collection.name:
            raise refuse(Kind.KEY_REUSED, f"this key was used for a bulk into {known.collection}")
        size = min(BATCH, self._door.queue.limit, _lines_at_once(caller.rate))
        jobs: list[Job] = []
        number = 0
        async for line in lines:
            if self._door.waiters.closed:
                raise refuse(Kind.STOPPING, "this server is stopping; under a key it is safe to send the bulk again")
            number += 1
            jobs.append(_job(caller, collection, Place(bulk, number), line))
            if len(jobs) == size:
                await self._submit(caller, collection, jobs, is_keyed=key is not None)
                await self._note(bulk, known, Bulk(caller.name, collection.name, number, complete=False))
                jobs = []
        if jobs:
            await self._submit(caller, collection, jobs, is_keyed=key is not None)
        whole = Bulk(caller.name, collection.name, number, complete=True)
        if known is not None and known.complete and known.lines != number:
            raise refuse(Kind.KEY_REUSED, f"this key was used for a bulk of {known.lines} lines, not {number}")
        await self._note(bulk, known, whole)
        return _view(bulk, whole, None)

    async def _submit(self, caller: Caller, collection: Collection, jobs: list[Job], *, is_keyed: bool) -> None:
        """Wait for room where there is none: nobody reads on meanwhile, so the sender is held back."""
        if caller.rate is not None:
            await self._pace(caller.key, caller.rate, jobs)
        give_up_at = time.monotonic() + ROOM_S
        while True:
            with queue_at_hand():
                try:
                    submitted = await self._door.queue.submit(collection.name, jobs)
                    break
                except QueueFull:
                    if time.monotonic() > give_up_at:
                        raise refuse(Kind.QUEUE_FULL, _NO_ROOM.format(_line(jobs[0]) - 1)) from None
            await asyncio.sleep(LOOK_FOR_ROOM_S)
        await reached(Point.ENQUEUED, (job.id for job in jobs))
        if is_keyed:
            await self._check_same(jobs, submitted)

    async def _pace(self, bucket: str, rate: Rate, jobs: list[Job]) -> None:
        """Each line counts as an add; a bulk that comes faster than the limit allows is read more slowly."""
        give_up_at = time.monotonic() + ROOM_S
        while (left := await self._door.rates.spend(bucket, rate, len(jobs))) and not left.is_paid:
            if time.monotonic() + left.payable_in_s > give_up_at or self._door.waiters.closed:
                raise too_many(rate, left, _TAKEN_IN.format(_line(jobs[0]) - 1))
            await asyncio.sleep(min(left.payable_in_s, LOOK_FOR_STOP_S))

    async def _check_same(self, jobs: list[Job], submitted: list[Submitted]) -> None:
        """A line that was taken in before must be the line that it was: by its receipt, else by its ticket."""
        receipts = await self._door.old_receipts([job.id for job in jobs])
        for job, answer in zip(jobs, submitted, strict=True):
            known = receipts.get(job.id) or answer.held
            if known is not None and known.fingerprint != job.fingerprint:
                raise refuse(Kind.KEY_REUSED, f"line {_line(job)} was another when this key was first used")

    async def _note(self, bulk: UUID, known: Bulk | None, so_far: Bulk) -> None:
        """Remember how far the bulk is, unless it was further before."""
        if known is None or so_far.complete or (not known.complete and known.lines < so_far.lines):
            with queue_at_hand():
                await self._door.queue.note_bulk(bulk, so_far)

    async def view(self, caller: Caller, bulk_id: str) -> BulkView:
        """How far the bulk is; from its receipts alone where Redis no longer knows it."""
        bulk = as_id(bulk_id)
        if bulk is None:
            raise _unknown_bulk()
        with queue_at_hand():
            known = await self._door.queue.bulk(bulk)
        with database_at_hand():
            async with self._door.database.reads() as session:
                counts = await count_bulk(session, bulk)
                if known is None and (last := await last_of_bulk(session, bulk)):
                    known = Bulk(*last, complete=False)
        if known is None or not caller.may_see(known.caller):
            raise _unknown_bulk()
        return _view(bulk, known, counts)

    async def ended(self, caller: Caller, bulk_id: str, wait_s: float) -> BulkView:
        """The bulk when all of its jobs have ended, or as it stands after `wait_s`."""
        bulk, deadline = as_id(bulk_id), time.monotonic() + wait_s
        if bulk is None:
            raise _unknown_bulk()
        with self._door.waiters.listening_to_bulk(bulk) as ear:
            while True:
                ear.ended, began = 0, time.monotonic()
                view = await self.view(caller, bulk_id)
                now = time.monotonic()
                left_s = deadline - now
                if view.has_ended or left_s <= 0 or ear.is_dismissed:
                    return view
                # To count a large bulk takes a while: whoever waits for it must not become a load.
                count_again_s = max(LOOK_AGAIN_S, (now - began) * REST)
                await ear.until(max(1, view.lines - view.jobs_ended), min(left_s, count_again_s))

    async def results(self, caller: Caller, view: BulkView) -> AsyncIterator[dict[str, Any]]:
        """Each line's number and job, in order; a job without a receipt yet is shown as Redis knows it."""
        for after in range(0, view.lines, BATCH):
            async with self._door.database.reads() as session:
                receipts = await read_bulk(session, view.id, after=after, limit=BATCH)
            for line in range(after + 1, min(after + BATCH, view.lines) + 1):
                if line in receipts:
                    yield {"line": line, **receipts[line].view().model_dump(mode="json")}
                else:
                    yield {"line": line, **await self._pending(caller, line_id(view.id, line))}

    async def _pending(self, caller: Caller, job: UUID) -> dict[str, Any]:
        try:
            return (await self._door.job(caller, str(job))).model_dump(mode="json")
        except ProblemError as away:
            # The answer has begun; what cannot be said of this line is said in its place.
            return {"id": str(job), "error": away.problem.model_dump(mode="json", exclude_none=True)}


def _lines_at_once(rate: Rate | None) -> int:
    """So few that none of them waits longer for the limit than a batch may wait, if there is any way."""
    return BATCH if rate is None else max(1, min(rate.quota, int(rate.quota * ROOM_S / 2 / rate.window_s)))


def _job(caller: Caller, collection: Collection, place: Place, line: bytes | None) -> Job:
    """The job of a line; one that is no add becomes a job that only waits for its failed receipt."""
    id_, now = line_id(place.bulk, place.line), utc_now()
    error: Problem
    if line is None:
        error = problem(Kind.TOO_LARGE, f"line {place.line} is too long")
    else:
        try:
            add = collection.parse_add(line)
        except MalformedAdd as wrong:
            error = problem(Kind.MALFORMED, f"line {place.line}: {wrong}")
        except InvalidAdd as wrong:
            error = problem(Kind.INVALID, f"line {place.line}: {wrong}", errors=wrong.faults)
        else:
            return Job(id_, add.candidates, add.values, add.fingerprint(collection.name), now, caller.name, place)
    fingerprint = hashlib.sha256(line or b"").hexdigest()
    return Job(id_, [], {}, fingerprint, now, caller.name, place, error=error)


def _line(job: Job) -> int:
    assert job.place is not None
    return job.place.line


def _view(bulk: UUID, known: Bulk, counts: dict[Status, int] | None) -> BulkView:
    if counts is not None and (waiting := known.lines - sum(counts.values())) > 0:
        counts = {Status.QUEUED: waiting, **counts}
    return BulkView(
        id=bulk,
        collection=known.collection,
        complete=known.complete,
        lines=known.lines,
        counts=counts,
        links=BulkLinks(
            self=f"/bulk/{bulk}", results=f"/bulk/{bulk}/results", collection=f"/collections/{known.collection}"
        ),
    )


def _unknown_bulk() -> ProblemError:
    return refuse(Kind.UNKNOWN_BULK, "no bulk has this id")
