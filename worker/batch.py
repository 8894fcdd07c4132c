"""Bring a batch to its end: every job a receipt, whatever the database says to one of them."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.at_once import AtOnce
from shared.collections import Collection, InvalidAdd
from shared.contract import Job, Row
from shared.database import Sessions
from shared.faults import Fault, FaultClass, sort_fault
from shared.problems import Kind, Problem, problem
from shared.receipts import Receipt, read_receipts, write_receipts
from worker.claim import Wish, claim

log = logging.getLogger(__name__)


STOPS = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
"""What is no error of a job's, wherever it is raised."""

UNKNOWN_COLLECTION = "unknown"
"""What the receipt of a job says of whose collection nothing is known any more."""


class Interrupted(Exception):  # noqa: N818
    """The batch met a fault that is nobody's in it; jobs without a receipt are as they were."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code}: {fault.detail}")
        self.fault = fault


async def end_jobs(
    sessions: Sessions,
    collection: Collection,
    jobs: Sequence[Job],
    *,
    tries: int,
    fresh: bool = False,
    at_once: AtOnce | None = None,
) -> dict[UUID, Receipt]:
    """The receipts of `jobs`, by id; `tries` is what they will say of themselves. Raises `Interrupted`.

    `fresh` jobs are handed out for the first time, so that they need not be asked for receipts. `at_once` is as
    `claim` takes it.
    """
    wishes: list[Wish] = []
    refused: list[Receipt] = []
    for job in jobs:
        try:
            if job.error is None:
                wishes.append(Wish.of(job, collection))
                continue
            error = job.error
        except InvalidAdd as misfit:
            error = _misfit(misfit)
        refused.append(Receipt.failed(job, collection.name, tries=tries, error=error))
    ended = await fail(sessions, refused) if refused else {}
    if not wishes:
        return ended
    return ended | await _claim_or_split(sessions, collection, wishes, tries, fresh=fresh, at_once=at_once)


async def fail_jobs(
    sessions: Sessions, collection: str, jobs: Sequence[Job], error: Problem, *, tries: int
) -> dict[UUID, Receipt]:
    """Write a failed receipt for each of `jobs`; one that has a receipt keeps it. Raises `Interrupted`."""
    return await fail(sessions, [Receipt.failed(job, collection, tries=tries, error=error) for job in jobs])


async def fail(sessions: Sessions, receipts: Sequence[Receipt]) -> dict[UUID, Receipt]:
    """Write `receipts` unless their jobs have some, and return what stands. Raises `Interrupted`."""
    try:
        async with sessions.begin() as session:
            first = await write_receipts(session, receipts)
            standing = await read_receipts(session, [receipt.id for receipt in receipts if receipt.id not in first])
    except Exception as cause:
        raise Interrupted(sort_fault(cause)) from cause
    return standing | {receipt.id: receipt for receipt in receipts if receipt.id in first}


async def _claim_or_split(
    sessions: Sessions,
    collection: Collection,
    wishes: Sequence[Wish],
    tries: int,
    *,
    fresh: bool = False,
    at_once: AtOnce | None = None,
) -> dict[UUID, Receipt]:
    """Claim; where the database refuses the statement, halve the batch until the culprit stands alone.

    A passing fault halves it too, so that one key that somebody holds does not keep the others waiting: those
    that could be ended are, and then the fault is raised.
    """
    try:
        return await claim(sessions, collection, wishes, tries=tries, fresh=fresh, at_once=at_once)
    except STOPS:
        raise
    except BaseException as error:
        # An application's types and events run in the claim, and not even their SystemExit ends the worker.
        fault = sort_fault(error, collection.table)
        is_passing = fault.kind is FaultClass.PASSING
        if fault.kind in {FaultClass.OUTAGE, FaultClass.TIMEOUT, FaultClass.UNFIT} or (is_passing and len(wishes) == 1):
            raise Interrupted(fault) from error
        if len(wishes) == 1:
            return await _fail(sessions, collection, wishes[0], fault, error, tries)
    middle = len(wishes) // 2
    ended: dict[UUID, Receipt] = {}
    stopped: Interrupted | None = None
    for half in (wishes[:middle], wishes[middle:]):
        try:
            ended |= await _claim_or_split(sessions, collection, half, tries)
        except Interrupted as stop:
            if stop.fault.kind is not FaultClass.PASSING:
                raise
            stopped = stop
    if stopped is not None:
        raise stopped
    return ended


async def _fail(
    sessions: Sessions, collection: Collection, wish: Wish, fault: Fault, error: BaseException, tries: int
) -> dict[UUID, Receipt]:
    told = fault.as_problem()
    named = {"job_id": str(wish.job.id), "collection": collection.name}
    if fault.kind is FaultClass.UNKNOWN:
        log.error("job %s met an unknown error", wish.job.id, exc_info=error, extra=named)
    elif fault.code == "SQLITE_CONSTRAINT_FOREIGNKEY":
        told.constraint = await _broken_foreign_key(sessions, collection, wish.rows)
    if fault.kind is FaultClass.REFUSED:
        log.info("job %s is refused by the database: %s", wish.job.id, fault.code, extra=named)
    return await fail_jobs(sessions, collection.name, [wish.job], told, tries=tries)


async def _broken_foreign_key(sessions: Sessions, collection: Collection, rows: Sequence[Row]) -> str | None:
    """The foreign key that no parent row satisfies; SQLite does not say which it was."""
    async with sessions() as session:
        for constraint in sorted(collection.table.foreign_key_constraints, key=lambda c: str(c.name)):
            for row in rows:
                if not await _has_parent(session, constraint, row):
                    return str(constraint.name)
    return None


async def _has_parent(session: AsyncSession, constraint: ForeignKeyConstraint, row: Row) -> bool:
    given = [(element.column, row.get(element.parent.name)) for element in constraint.elements]
    if any(value is None for _, value in given):
        return True
    parents = select(constraint.referred_table).where(*(column == value for column, value in given))
    return (await session.execute(parents.limit(1))).first() is not None


def unknown_job(id_: UUID, since: datetime) -> Job:
    """A job of which only the id is left, for its failed receipt."""
    return Job(id_, candidates=[], values={}, fingerprint="", submitted_at=since)


def _misfit(error: InvalidAdd) -> Problem:
    return problem(
        Kind.INVALID,
        "the queued add does not fit the collection as this worker knows it",
        errors=error.faults,
    )
