"""Bulks: many adds in one request, taken in batch by batch, each line a job of its own."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from api.door import CALLER, Door
from api.problems import ProblemError, database_at_hand, queue_at_hand, refuse
from shared.clock import utc_now
from shared.collections import Collection, InvalidAdd, MalformedAdd
from shared.contract import Job, Place, Status
from shared.ids import as_id, keyed_id, line_id, new_bulk_id
from shared.problems import Kind, Problem, problem
from shared.queue import QueueFull
from shared.receipts import count_bulk, last_of_bulk, read_bulk
from shared.tickets import Bulk, Submitted

BATCH = 500
"""Lines that go into the queue together, and outcomes that are read together."""

ROOM_S = 20.0
"""How long a bulk waits for room in a full queue."""
LOOK_FOR_ROOM_S = 0.1


class BulkLinks(BaseModel):
    self: str
    results: str
    collection: str


class BulkView(BaseModel):
    """A bulk: how many lines were taken in so far, whether all were, and how many jobs stand where."""

    id: UUID
    collection: str
    complete: bool
    lines: int
    counts: dict[Status, int]
    links: BulkLinks


class BulkDoor:
    """What the routes of bulks do, without HTTP."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def take_in(self, collection: Collection, lines: AsyncIterator[bytes | None], key: str | None) -> BulkView:
        """Put every line into the queue, `BATCH` at a time, and return once Redis has confirmed the last."""
        bulk = new_bulk_id() if key is None else keyed_id(CALLER, f"bulk\0{key}")
        jobs: list[Job] = []
        number = 0
        async for line in lines:
            number += 1
            jobs.append(_job(collection, Place(bulk, number), line))
            if len(jobs) == BATCH:
                await self._submit(collection, jobs)
                await self._note(bulk, Bulk(collection.name, number, complete=False))
                jobs = []
        if jobs:
            await self._submit(collection, jobs)
        whole = Bulk(collection.name, number, complete=True)
        await self._note(bulk, whole)
        return _view(bulk, whole, {})

    async def _submit(self, collection: Collection, jobs: list[Job]) -> None:
        """Wait for room where there is none: nobody reads on meanwhile, so the sender is held back."""
        give_up_at = time.monotonic() + ROOM_S
        while True:
            with queue_at_hand():
                try:
                    submitted = await self._door.queue.submit(collection.name, jobs)
                except QueueFull:
                    if time.monotonic() > give_up_at:
                        raise refuse(Kind.QUEUE_FULL, "the bulk was taken in up to here; send it again later") from None
                else:
                    return _check_same(jobs, submitted)
            await asyncio.sleep(LOOK_FOR_ROOM_S)

    async def _note(self, bulk: UUID, so_far: Bulk) -> None:
        with queue_at_hand():
            await self._door.queue.note_bulk(bulk, so_far)

    async def view(self, bulk_id: str) -> BulkView:
        """How far the bulk is; from its receipts alone where Redis no longer knows it."""
        bulk = as_id(bulk_id)
        if bulk is None:
            raise _unknown_bulk()
        with queue_at_hand():
            known = await self._door.queue.bulk(bulk)
        with database_at_hand():
            async with self._door.database.reads() as session:
                counts = await count_bulk(session, bulk)
                if known is None and counts:
                    known = Bulk(*await last_of_bulk(session, bulk), complete=False)
        if known is None:
            raise _unknown_bulk()
        return _view(bulk, known, counts)

    async def results(self, view: BulkView) -> AsyncIterator[dict[str, Any]]:
        """Each line's number and job, in order; a job without a receipt yet is shown as Redis knows it."""
        for after in range(0, view.lines, BATCH):
            async with self._door.database.reads() as session:
                receipts = await read_bulk(session, view.id, after=after, limit=BATCH)
            for line in range(after + 1, min(after + BATCH, view.lines) + 1):
                if line in receipts:
                    yield {"line": line, **receipts[line].view().model_dump(mode="json")}
                else:
                    yield {"line": line, **await self._pending(line_id(view.id, line))}

    async def _pending(self, job: UUID) -> dict[str, Any]:
        try:
            return (await self._door.job(str(job))).model_dump(mode="json")
        except ProblemError as away:
            # The answer has begun; what cannot be said of this line is said in its place.
            return {"id": str(job), "error": away.problem.model_dump(mode="json", exclude_none=True)}


def _job(collection: Collection, place: Place, line: bytes | None) -> Job:
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
            return Job(id_, add.candidates, add.values, add.fingerprint(collection.name), now, place)
    fingerprint = hashlib.sha256(line or b"").hexdigest()
    return Job(id_, [], {}, fingerprint, now, place, error)


def _check_same(jobs: list[Job], submitted: list[Submitted]) -> None:
    """A line that was taken in before must be the same line."""
    for job, answer in zip(jobs, submitted, strict=True):
        if answer.held is not None and answer.held.fingerprint != job.fingerprint:
            assert job.place is not None
            raise refuse(Kind.KEY_REUSED, f"line {job.place.line} was another add when this key was first used")


def _view(bulk: UUID, known: Bulk, counts: dict[Status, int]) -> BulkView:
    waiting = known.lines - sum(counts.values())
    return BulkView(
        id=bulk,
        collection=known.collection,
        complete=known.complete,
        lines=known.lines,
        counts={Status.QUEUED: waiting, **counts} if waiting > 0 else counts,
        links=BulkLinks(
            self=f"/bulk/{bulk}", results=f"/bulk/{bulk}/results", collection=f"/collections/{known.collection}"
        ),
    )


def _unknown_bulk() -> ProblemError:
    return refuse(Kind.UNKNOWN_BULK, "no bulk has this id")
