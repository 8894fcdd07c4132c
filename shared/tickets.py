"""What Redis knows of a job until it has its receipt, of a batch that is handed out, and of a bulk."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.contract import Batch, Job, JobView, Links, Place, Status


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job from its submit until its receipt."""

    collection: str
    fingerprint: str
    submitted_at: datetime
    batch: UUID
    place: Place | None = None


@dataclass(frozen=True)
class Waiting:
    """A job without a receipt, as Redis knows it."""

    id: UUID
    ticket: Ticket
    status: Status
    tries: int

    def view(self) -> JobView:
        return JobView(
            id=self.id,
            collection=self.ticket.collection,
            status=self.status,
            tries=self.tries,
            submitted_at=self.ticket.submitted_at,
            links=Links.of(self.id, self.ticket.collection),
        )

    def job(self) -> Job:
        """Enough of the job to write a receipt about it; its candidates are in the batch."""
        return Job(
            id=self.id,
            candidates=[],
            values={},
            fingerprint=self.ticket.fingerprint,
            submitted_at=self.ticket.submitted_at,
            place=self.ticket.place,
        )


@dataclass(frozen=True)
class Submitted:
    """What became of one job of a submit: `held` is the ticket that its id already had, if any."""

    id: UUID
    held: Ticket | None


class Bulk(NamedTuple):
    """What Redis knows of a bulk: its collection, the lines taken in so far, and whether those were all."""

    collection: str
    lines: int
    complete: bool


class Delivery(NamedTuple):
    """A batch as it was handed out for the `number`th time, from 1; no `content` where it cannot be read."""

    batch: str
    content: Batch | None
    number: int
