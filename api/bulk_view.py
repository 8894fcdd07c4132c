"""A bulk as HTTP shows it."""

from uuid import UUID

from pydantic import BaseModel, Field

from shared.contract import Status
from shared.tickets import Bulk


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
    complete: bool = Field(description="Whether the last line was taken in")
    lines: int = Field(description="Lines that were taken in so far")
    counts: dict[Status, int] | None = Field(description="How many of its jobs stand where")
    links: BulkLinks

    @classmethod
    def of(cls, bulk: UUID, known: Bulk, counts: dict[Status, int] | None) -> "BulkView":
        if counts is not None and (waiting := known.lines - sum(counts.values())) > 0:
            counts = {Status.QUEUED: waiting, **counts}
        links = BulkLinks(
            self=f"/bulk/{bulk}", results=f"/bulk/{bulk}/results", collection=f"/collections/{known.collection}"
        )
        return cls(
            id=bulk,
            collection=known.collection,
            complete=known.complete,
            lines=known.lines,
            counts=counts,
            links=links,
        )

    def at(self, root: str) -> "BulkView":
        """The same, as it is told to whom dibs stands at `root`, such as /names."""
        if not root:
            return self
        there = {name: root + address for name, address in self.links.model_dump().items()}
        return self.model_copy(update={"links": BulkLinks(**there)})

    @property
    def jobs_ended(self) -> int:
        return sum(count for status, count in (self.counts or {}).items() if status.is_outcome)

    @property
    def has_ended(self) -> bool:
        return self.complete and self.jobs_ended >= self.lines
