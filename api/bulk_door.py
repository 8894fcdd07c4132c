"""Bulks: many adds in one request, taken in batch by batch, each line a job of its own."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from api.access import too_many
from api.bulk_view import BulkView
from api.callers import Caller
from api.door import Door
from api.one_behind import OneBehind
from api.problems import ProblemError, refuse
from api.waiters import LOOK_AGAIN_S, REST
from shared.clock import utc_now
from shared.collections import Collection, InvalidAdd, MalformedAdd
from shared.contract import Job, Place
from shared.ids import as_id, keyed_id, line_id, new_bulk_id
from shared.points import Point, reached
from shared.problems import FieldError, Kind, Problem, problem
from shared.queue import QueueFull
from shared.rates import Rate
from shared.receipts import Receipt, count_bulk, last_of_bulk, read_bulk
from shared.tickets import Bulk, Ticket

BATCH = 500
"""Lines that go into the queue together, and outcomes that are read together."""

MAX_LINES = 2**31 - 1
"""As far as the receipts count; their ids leave a little more room."""

ROOM_S = 20.0
"""How long a bulk waits for room in a full queue."""
LOOK_FOR_ROOM_S = 0.1
LOOK_FOR_STOP_S = 0.5

_TAKEN_IN = "; the bulk was taken in up to line {}: under an Idempotency-Key it is safe to send it again"
_NO_ROOM = "no room in the queue" + _TAKEN_IN


@dataclass(frozen=True)
class Part:
    """Which lines of a bulk are sent: those that follow on line `after`, and whether `more` are to come."""

    after: int = 0
    more: bool = False


WHOLE = Part()


@dataclass(frozen=True)
class _Intake:
    """A bulk on its way in, and what was `known` of it before."""

    caller: Caller
    collection: Collection
    bulk: UUID
    known: Bulk | None
    is_keyed: bool

    @property
    def taken(self) -> int:
        """Lines that were taken in before."""
        return self.known.lines if self.known is not None else 0

    def so_far(self, lines: int, *, complete: bool) -> Bulk:
        return Bulk(self.caller.name, self.collection.name, lines, complete)


class BulkDoor:
    """What the routes of bulks do, without HTTP."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def take_in(
        self,
        caller: Caller,
        collection: Collection,
        lines: AsyncIterator[bytes | None],
        key: str | None,
        part: Part = WHOLE,
    ) -> BulkView:
        """Put every line into the queue, a batch at a time, and return once Redis has confirmed the last.

        Under a key that was used before, every line must be what it was then. `part` says which lines these are.
        """
        if part != WHOLE and key is None:
            raise refuse(Kind.MALFORMED, "a bulk that is sent in parts needs an Idempotency-Key")
        bulk = new_bulk_id() if key is None else keyed_id(caller.name, f"bulk\0{key}")
        with self._door.at_hand.queue():
            known = await self._door.queue.bulk(bulk) if key is not None else None
        if known is not None and known.collection != collection.name:
            raise refuse(Kind.KEY_REUSED, f"this key was used for a bulk into {known.collection}")
        taken = known.lines if known is not None else 0
        if part.after > taken:
            raise _gap(part.after, taken)
        size = min(BATCH, self._door.queue.limit, _lines_at_once(caller.rate))
        intake = _Intake(caller, collection, bulk, known, is_keyed=key is not None)
        jobs: list[Job] = []
        number = part.after
        # The next lines are read while a batch is on its way; further ahead nobody reads.
        async with OneBehind() as sending:
            async for line in lines:
                number += 1
                self._check_line(number, known)
                jobs.append(_job(caller, collection, Place(bulk, number), line, self._door.settings.max_line_bytes))
                if len(jobs) == size:
                    await sending.run(partial(self._take_and_note, intake, jobs, number))
                    jobs = []
        if number < taken and not part.more:
            raise _another_length(taken)
        await self._take(intake, jobs)
        so_far = intake.so_far(number, complete=not part.more)
        await self._note(intake, so_far)
        return BulkView.of(bulk, known if known is not None and taken > number else so_far, None)

    def _check_line(self, number: int, known: Bulk | None) -> None:
        """Raises the refusal of a bulk that goes on to line `number` and may not."""
        if self._door.waiters.closed:
            raise refuse(Kind.STOPPING, "this server is stopping; under a key it is safe to send the bulk again")
        if number > MAX_LINES:
            raise refuse(Kind.TOO_LARGE, f"a bulk may have {MAX_LINES} lines; under a key they are safe to send again")
        if known is not None and known.complete and number > known.lines:
            raise _another_length(known.lines)

    async def _take_and_note(self, intake: "_Intake", jobs: list[Job], number: int) -> None:
        await self._take(intake, jobs)
        await self._note(intake, intake.so_far(number, complete=False))

    async def _take(self, intake: "_Intake", jobs: list[Job]) -> None:
        """Submit `jobs`; those that were taken in before have their receipts by now, most of them."""
        receipts: dict[UUID, Receipt] = {}
        if jobs and _line(jobs[0]) <= intake.taken:
            receipts = await self._door.old_receipts([job.id for job in jobs])
            for job in jobs:
                _same_line(job, receipts.get(job.id))
        if left := [job for job in jobs if job.id not in receipts]:
            await self._submit(intake, left)

    async def _submit(self, intake: "_Intake", jobs: list[Job]) -> None:
        """Wait for room where there is none: nobody reads on meanwhile, so the sender is held back.

        Under a key, a line that was taken in before must be what it was: by its receipt, else by its ticket.
        """
        if intake.caller.rate is not None:
            await self._pace(intake.caller.key, intake.caller.rate, jobs)
        collection = intake.collection.name
        give_up_at = time.monotonic() + ROOM_S
        while True:
            with self._door.at_hand.queue():
                try:
                    submitted = await self._door.grouping.submit_all(collection, jobs)
                    break
                except QueueFull:
                    if time.monotonic() > give_up_at:
                        self._door.metrics.refused(collection, Kind.QUEUE_FULL, len(jobs))
                        raise refuse(Kind.QUEUE_FULL, _NO_ROOM.format(_line(jobs[0]) - 1)) from None
            await asyncio.sleep(LOOK_FOR_ROOM_S)
        await reached(Point.ENQUEUED, (job.id for job in jobs))
        repeated = sum(answer.held is not None for answer in submitted)
        self._door.metrics.submitted(collection, accepted=len(jobs) - repeated, repeated=repeated)
        if intake.is_keyed:
            receipts = await self._door.old_receipts([job.id for job in jobs])
            for job, answer in zip(jobs, submitted, strict=True):
                _same_line(job, receipts.get(job.id) or answer.held)

    async def _pace(self, bucket: str, rate: Rate, jobs: list[Job]) -> None:
        """Each line counts as an add; a bulk that comes faster than the limit allows is read more slowly."""
        give_up_at = time.monotonic() + ROOM_S
        while (left := await self._door.rates.spend(bucket, rate, len(jobs))) and not left.is_paid:
            if time.monotonic() + left.payable_in_s > give_up_at or self._door.waiters.closed:
                raise too_many(rate, left, _TAKEN_IN.format(_line(jobs[0]) - 1))
            await asyncio.sleep(min(left.payable_in_s, LOOK_FOR_STOP_S))

    async def _note(self, intake: "_Intake", so_far: Bulk) -> None:
        """Remember how far the bulk is, where another caller has not brought it further meanwhile."""
        with self._door.at_hand.queue():
            await self._door.queue.note_bulk(intake.bulk, so_far)

    async def view(self, caller: Caller, bulk_id: str) -> BulkView:
        """How far the bulk is, and how many of its jobs stand where."""
        bulk, known = await self.find(caller, bulk_id)
        with self._door.at_hand.database():
            async with self._door.database.reads() as session:
                return BulkView.of(bulk, known, await count_bulk(session, bulk))

    async def find(self, caller: Caller, bulk_id: str) -> tuple[UUID, Bulk]:
        """What is known of the bulk; from its receipts alone where Redis no longer knows it."""
        bulk = as_id(bulk_id)
        if bulk is None:
            raise _unknown_bulk()
        with self._door.at_hand.queue():
            known = await self._door.queue.bulk(bulk)
        if known is None:
            with self._door.at_hand.database():
                async with self._door.database.reads() as session:
                    last = await last_of_bulk(session, bulk)
            known = Bulk(*last, complete=False) if last else None
        if known is None or not caller.may_see(known.caller):
            raise _unknown_bulk()
        return bulk, known

    async def ended(self, caller: Caller, bulk_id: str, wait_s: float) -> BulkView:
        """The bulk when all of its jobs have ended, or as it stands after `wait_s`."""
        bulk, deadline = as_id(bulk_id), time.monotonic() + wait_s
        if bulk is None:
            raise _unknown_bulk()
        with self._door.metrics.waiting() as in_time, self._door.waiters.listening_to_bulk(bulk) as ear:
            while True:
                ear.ended, began = 0, time.monotonic()
                view = await self.view(caller, bulk_id)
                now = time.monotonic()
                left_s = deadline - now
                if view.has_ended:
                    in_time()
                if view.has_ended or left_s <= 0 or ear.is_dismissed:
                    return view
                # To count a large bulk takes a while: whoever waits for it must not become a load.
                count_again_s = max(LOOK_AGAIN_S, (now - began) * REST)
                await ear.until(max(1, view.lines - view.jobs_ended), min(left_s, count_again_s))

    async def results(
        self, caller: Caller, bulk: UUID, lines: int, *, root: str = "", after: int = 0, limit: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Each line's number and job, in order, for those of the `limit` lines that follow on line `after`.

        A job without a receipt yet is shown as Redis knows it; all as to somebody to whom dibs stands at `root`.
        """
        end = lines if limit is None else min(lines, after + limit)
        for start in range(after, end, BATCH):
            stop = min(start + BATCH, end)
            async with self._door.database.reads() as session:
                receipts = await read_bulk(session, bulk, after=start, limit=stop - start)
            for line in range(start + 1, stop + 1):
                if line in receipts:
                    yield {"line": line, **receipts[line].view().at(root).model_dump(mode="json")}
                else:
                    yield {"line": line, **await self._pending(caller, line_id(bulk, line), root)}

    async def _pending(self, caller: Caller, job: UUID, root: str) -> dict[str, Any]:
        try:
            return (await self._door.find(caller, job)).view().at(root).model_dump(mode="json")
        except ProblemError as away:
            # The answer has begun; what cannot be said of this line is said in its place.
            return {"id": str(job), "error": away.problem.at(root).model_dump(mode="json", exclude_none=True)}


def _lines_at_once(rate: Rate | None) -> int:
    """So few that none of them waits longer for the limit than a batch may wait, if there is any way."""
    return BATCH if rate is None else max(1, min(rate.quota, int(rate.quota * ROOM_S / 2 / rate.window_s)))


def _job(caller: Caller, collection: Collection, place: Place, line: bytes | None, most_bytes: int) -> Job:
    """The job of a line; one that is no add becomes a job that only waits for its failed receipt."""
    id_, now = line_id(place.bulk, place.line), utc_now()
    error: Problem
    if line is None:
        error = problem(Kind.TOO_LARGE, f"line {place.line} is longer than {most_bytes} bytes")
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


def _same_line(job: Job, known: Receipt | Ticket | None) -> None:
    if known is not None and known.fingerprint != job.fingerprint:
        raise refuse(Kind.KEY_REUSED, f"line {_line(job)} was another when this key was first used")


def _line(job: Job) -> int:
    assert job.place is not None
    return job.place.line


def _another_length(lines: int) -> ProblemError:
    return refuse(Kind.KEY_REUSED, f"this key was used for a bulk of {lines} lines; this one has another number")


def _gap(after: int, taken: int) -> ProblemError:
    fault = FieldError(pointer="/query/after", detail=f"the bulk was taken in up to line {taken}, not {after}")
    return refuse(Kind.INVALID, fault.detail, errors=[fault])


def _unknown_bulk() -> ProblemError:
    return refuse(Kind.UNKNOWN_BULK, "no bulk has this id")
