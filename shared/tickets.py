"""What Redis knows of a job until it has its receipt, of a batch that is handed out, of a bulk and of a worker."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.contract import Batch, Job, JobView, Links, Place, Status, dump_view
from shared.encoding import encode


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job from its submit until its receipt."""

    collection: str
    fingerprint: str
    submitted_at: datetime
    batch: UUID
    caller: str = ""
    place: Place | None = None
    retry_of: UUID | None = None


def dump_ticket(collection: str, job: Job, batch: UUID) -> bytes:
    """The JSON of the `Ticket` of `job` in `batch`, without making one: each submit has its own."""
    return encode(
        {
            "collection": collection,
            "fingerprint": job.fingerprint,
            "submitted_at": job.submitted_at,
            "batch": batch,
            "caller": job.caller,
            "place": job.place,
            "retry_of": job.retry_of,
        }
    )


@dataclass(frozen=True)
class Waiting:
    """A job without a receipt, as Redis knows it."""

    id: UUID
    ticket: Ticket
    status: Status
    tries: int

    @property
    def caller(self) -> str:
        return self.ticket.caller

    def view(self) -> JobView:
        return JobView(
            id=self.id,
            collection=self.ticket.collection,
            status=self.status,
            tries=self.tries,
            submitted_at=self.ticket.submitted_at,
            links=Links.of(self.id, self.ticket.collection, self.ticket.retry_of),
        )

    def dump(self, root: str) -> bytes:
        """The JSON of `view`, as it is told to whom dibs stands at `root`."""
        ticket = self.ticket
        return dump_view(
            self.id,
            ticket.collection,
            self.status,
            ticket.submitted_at,
            root,
            tries=self.tries,
            retry_of=ticket.retry_of,
        )

    def job(self) -> Job:
        """Enough of the job to write a receipt about it where its batch, which has its candidates, is lost."""
        return Job(
            id=self.id,
            candidates=[],
            values={},
            fingerprint=self.ticket.fingerprint,
            submitted_at=self.ticket.submitted_at,
            caller=self.ticket.caller,
            place=self.ticket.place,
            retry_of=self.ticket.retry_of,
        )


class Submitted(NamedTuple):
    """What became of one job of a submit: `held` is the ticket that its id already had, if any.

    Without `room` it was not taken in.
    """

    id: UUID
    held: Ticket | None
    room: bool = True


class Bulk(NamedTuple):
    """What is known of a bulk: whose it is, its collection, the lines taken in so far, whether those were all."""

    caller: str
    collection: str
    lines: int
    complete: bool


class Delivery(NamedTuple):
    """A batch as it was handed out for the `number`th time, from 1; no `content` where it cannot be read.

    `spent` tries were spent on it, and `excused` of the earlier deliveries ended without anybody's death.
    """

    batch: str
    content: Batch | None
    number: int
    spent: int = 0
    excused: int = 0

    @property
    def deaths(self) -> int:
        """How many workers went away under it."""
        return max(0, self.number - 1 - self.excused)


class Taken(NamedTuple):
    """The batches that a worker has leased; without any, how long the first of the others' leases may last."""

    deliveries: list[Delivery]
    look_again_s: float | None


@dataclass(frozen=True)
class Running:
    """A batch in a worker's hands; nothing is known of what is in one that cannot be read."""

    batch: str
    collection: str | None
    jobs: int
    since: datetime


@dataclass(frozen=True)
class Worker:
    """A worker as it shows itself: `name` is its host and process id."""

    name: str
    started_at: datetime
    running: list[Running]
    more: int
    """Batches that it runs beside those."""
