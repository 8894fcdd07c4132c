"""Receipts: what became of a job. Written once, never changed; the row that makes a job exactly once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import utc_now
from shared.contract import Job, JobView, Links, Row, Status, dump_view
from shared.models import ReceiptRow
from shared.problems import Problem
from shared.rows import Witness, insert_columns_unless_taken, select_among

TABLE: Table = ReceiptRow.__table__  # type: ignore[assignment]  # a mapped class has a Table
WITHOUT_CONTENT = [column for column in TABLE.columns if column.name != "content"]
"""An add may have a megabyte: nobody reads it who only wants to know what became of it."""


@dataclass(frozen=True)
class Receipt:
    """The end of a job. Made by one of the four constructors below, one for each outcome, and by nothing else."""

    id: UUID
    collection: str
    status: Status
    fingerprint: str
    tries: int
    submitted_at: datetime
    finished_at: datetime
    caller: str = ""
    content: Row | None = None
    """The job's candidates and values; None where only its ticket was left, a line was no add, or nobody asked."""
    result: Row | None = None
    choice: int | None = None
    error: Problem | None = None
    bulk: UUID | None = None
    line: int | None = None
    retry_of: UUID | None = None
    found: bool = field(default=False, compare=False)
    """Read back, not written just now: whoever counts what ended has counted it before, or somebody else has."""

    @classmethod
    def _of(
        cls,
        job: Job,
        collection: str,
        status: Status,
        tries: int,
        *,
        result: Row | None = None,
        choice: int | None = None,
        error: Problem | None = None,
        at: datetime | None = None,
    ) -> Self:
        return cls(
            id=job.id,
            collection=collection,
            status=status,
            fingerprint=job.fingerprint,
            tries=tries,
            submitted_at=job.submitted_at,
            finished_at=at or utc_now(),
            caller=job.caller,
            content={"candidates": job.candidates, "values": job.values} if job.candidates else None,
            result=result,
            choice=choice,
            error=error,
            bulk=job.place.bulk if job.place else None,
            line=job.place.line if job.place else None,
            retry_of=job.retry_of,
        )

    @classmethod
    def succeeded(
        cls, job: Job, collection: str, *, tries: int, choice: int, row: Row, at: datetime | None = None
    ) -> Self:
        return cls._of(job, collection, Status.SUCCEEDED, tries, choice=choice, result=row, at=at)

    @classmethod
    def exhausted(cls, job: Job, collection: str, *, tries: int, at: datetime | None = None) -> Self:
        return cls._of(job, collection, Status.EXHAUSTED, tries, at=at)

    @classmethod
    def failed(cls, job: Job, collection: str, *, tries: int, error: Problem) -> Self:
        return cls._of(job, collection, Status.FAILED, tries, error=error)

    @classmethod
    def cancelled(cls, job: Job, collection: str, *, tries: int) -> Self:
        return cls._of(job, collection, Status.CANCELLED, tries)

    def view(self) -> JobView:
        return JobView(
            id=self.id,
            collection=self.collection,
            status=self.status,
            result=self.result,
            choice=self.choice,
            tries=self.tries,
            error=self.error,
            submitted_at=self.submitted_at,
            finished_at=self.finished_at,
            links=Links.of(self.id, self.collection, self.retry_of),
        )

    def dump(self, root: str) -> bytes:
        """The JSON of `view`, as it is told to whom dibs stands at `root`."""
        return dump_view(
            self.id,
            self.collection,
            self.status,
            self.submitted_at,
            root,
            result=self.result,
            choice=self.choice,
            tries=self.tries,
            error=self.error,
            finished_at=self.finished_at,
            retry_of=self.retry_of,
        )


async def read_receipts(session: AsyncSession, ids: Iterable[UUID], *, whole: bool = True) -> dict[UUID, Receipt]:
    """The receipts that there are for `ids`, by id. Unless they are read whole, their content is left out."""
    columns = list(TABLE.columns) if whole else WITHOUT_CONTENT
    rows = await select_among(session, columns, [TABLE.c.id], [(id_,) for id_ in ids])
    return {row.id: from_row(row._mapping) for row in rows}


async def count_bulk(session: AsyncSession, bulk: UUID) -> dict[Status, int]:
    """How many receipts of `bulk` there are of each status."""
    counted = select(TABLE.c.status, func.count()).where(TABLE.c.bulk == bulk).group_by(TABLE.c.status)
    return {Status(status): count for status, count in await session.execute(counted)}


async def last_of_bulk(session: AsyncSession, bulk: UUID) -> tuple[str, str, int] | None:
    """The caller and the collection of `bulk`, and the last of its lines that has a receipt; None without any."""
    of_bulk = select(TABLE.c.caller, TABLE.c.collection, TABLE.c.line).where(TABLE.c.bulk == bulk)
    last = (await session.execute(of_bulk.order_by(TABLE.c.line.desc()).limit(1))).first()
    return None if last is None else (last.caller, last.collection, last.line)


async def read_bulk(session: AsyncSession, bulk: UUID, *, after: int, limit: int) -> dict[int, Receipt]:
    """The receipts of the `limit` lines that follow on line `after`, by line."""
    of_lines = TABLE.c.bulk == bulk, TABLE.c.line > after, TABLE.c.line <= after + limit
    rows = await session.execute(select(TABLE).where(*of_lines))
    return {row.line: from_row(row._mapping) for row in rows}


async def write_receipts(session: AsyncSession, receipts: Iterable[Receipt]) -> set[UUID]:
    """Insert `receipts` and return the ids of those that were the first for their job.

    A job that already has a receipt keeps it: whoever gets fewer ids back than it gave must roll back, for the
    rows it inserted beside them are not the job's answer. Inserted in the order of their ids, so that two
    writers of the same jobs cannot deadlock.
    """
    ordered = sorted(receipts, key=attrgetter("id.int"))
    if not ordered:
        return set()
    columns = dict(zip(_NAMES, zip(*map(_values, ordered), strict=True), strict=True))
    return {id_ for (id_,) in await insert_columns_unless_taken(session, TABLE, ["id"], columns, ["id"])}


def witness_of(receipt: Receipt) -> Witness:
    """`receipt`, to be written together with the row of which it will tell: both, or neither."""
    choice, result = "choice", "result"
    row = {name: getattr(receipt, name) for name in _NAMES if name not in {choice, result}}
    return Witness(TABLE, row, choice, result)


def from_row(row: Any) -> Receipt:
    """The receipt in a row of its table, by name; with what was read of it."""
    error = Problem.model_validate(row["error"]) if row["error"] else None
    return Receipt(**{**row, "status": Status(row["status"]), "error": error}, found=True)


_NAMES = tuple(name for name in Receipt.__dataclass_fields__ if name != "found")
_values = attrgetter(*_NAMES)
