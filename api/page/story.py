"""One job's whole story, put together from its receipt, or from its ticket and its batch while it waits."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.callers import Caller
from api.door import Door, unknown_job
from api.page import words
from shared.contract import Row, Status
from shared.problems import Problem
from shared.receipts import Receipt, read_receipts
from shared.tickets import Waiting


@dataclass(frozen=True)
class Told:
    """A candidate, and what came of it: taken, won, not needed, or nothing that is known."""

    row: Row
    fate: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; without a time it is what goes on now."""

    at: datetime | None
    what: str
    more: str = ""


@dataclass(frozen=True)
class Story:
    """All that is known of a job."""

    id: UUID
    collection: str
    status: Status
    caller: str
    candidates: list[Told]
    values: Row
    tries: int
    submitted_at: datetime
    finished_at: datetime | None
    result: Row | None
    error: Problem | None
    events: list[Event]
    bulk: UUID | None
    line: int | None
    retry_of: UUID | None


async def read_story(door: Door, caller: Caller, job: UUID) -> Story:
    """The story of a job that `caller` may see; raises the `ProblemError` that any look at it would."""
    found = await door.find(caller, job)
    if isinstance(found, Waiting):
        return await _waiting(door, found)
    with door.at_hand.database():
        async with door.database.reads() as session:
            receipt = (await read_receipts(session, [job])).get(job)
    if receipt is None:  # it was pruned between the two looks
        raise unknown_job()
    return _ended(receipt)


def _ended(receipt: Receipt) -> Story:
    content = receipt.content or {"candidates": [], "values": {}}
    return Story(
        id=receipt.id,
        collection=receipt.collection,
        status=receipt.status,
        caller=receipt.caller,
        candidates=_told(content["candidates"], receipt.status, receipt.choice),
        values=content["values"],
        tries=receipt.tries,
        submitted_at=receipt.submitted_at,
        finished_at=receipt.finished_at,
        result=receipt.result,
        error=receipt.error,
        events=[
            _submitted(receipt.submitted_at, receipt.caller),
            Event(receipt.finished_at, str(receipt.status).capitalize(), _how(receipt)),
        ],
        bulk=receipt.bulk,
        line=receipt.line,
        retry_of=receipt.retry_of,
    )


def _told(candidates: Sequence[Row], status: Status, choice: int | None) -> list[Told]:
    return [Told(row, _fate(place, status, choice)) for place, row in enumerate(candidates)]


def _fate(place: int, status: Status, choice: int | None) -> str:
    if status is Status.EXHAUSTED:
        return "taken"
    if choice is None:
        return ""
    if place == choice:
        return "won"
    return "taken" if place < choice else "not needed"


def _submitted(at: datetime, caller: str) -> Event:
    return Event(at, "Submitted", f"by {caller}" if caller else "")


def _how(receipt: Receipt) -> str:
    took = f"after {words.took(receipt.submitted_at, receipt.finished_at)}"
    if receipt.status is Status.CANCELLED:
        return took
    return f"{took}, at the first try" if receipt.tries <= 1 else f"{took} and {receipt.tries} tries"


async def _waiting(door: Door, waiting: Waiting) -> Story:
    with door.at_hand.queue():
        job = await door.queue.job(waiting)
        events = [event async for event in _going_on(door, waiting)]
    return Story(
        id=waiting.id,
        collection=waiting.ticket.collection,
        status=waiting.status,
        caller=job.caller,
        candidates=_told(job.candidates, waiting.status, None),
        values=job.values,
        tries=waiting.tries,
        submitted_at=job.submitted_at,
        finished_at=None,
        result=None,
        error=None,
        events=[_submitted(job.submitted_at, job.caller), *events],
        bulk=job.place.bulk if job.place else None,
        line=job.place.line if job.place else None,
        retry_of=job.retry_of,
    )


async def _going_on(door: Door, waiting: Waiting) -> AsyncIterator[Event]:
    """What happens to a job that waits, as far as the workers tell."""
    if waiting.tries:
        yield Event(None, "Tried", "once so far" if waiting.tries == 1 else f"{waiting.tries} times so far")
    batch = str(waiting.ticket.batch)
    for worker in await door.queue.workers():
        for running in worker.running:
            if running.batch == batch:
                yield Event(running.since, "Running", f"on {worker.name}")
                return
    yield Event(None, "Waits for its next try" if waiting.tries else "Waits for a worker")
