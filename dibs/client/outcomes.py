"""How a job ended, as values for a `match` statement."""

from dataclasses import dataclass, field
from uuid import UUID

from dibs.client.errors import Garbled
from shared.contract import JobView, Row, Status
from shared.problems import Problem


@dataclass(frozen=True, slots=True)
class Succeeded:
    """`row` was inserted, the candidate at place `choice`, from 0."""

    row: Row
    choice: int
    job: UUID = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Every candidate was taken."""

    job: UUID = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing was inserted; `problem` says why (RFC 9457)."""

    problem: Problem
    job: UUID = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was cancelled, and never inserts anything."""

    job: UUID = field(kw_only=True)


Outcome = Succeeded | Exhausted | Failed | Cancelled


def outcome_of(view: JobView) -> Outcome | None:
    """The outcome of the job, or None while it has none."""
    match view:
        case JobView(status=Status.SUCCEEDED, result=dict(row), choice=int(choice)):
            return Succeeded(row, choice, job=view.id)
        case JobView(status=Status.EXHAUSTED):
            return Exhausted(job=view.id)
        case JobView(status=Status.FAILED, error=Problem() as problem):
            return Failed(problem, job=view.id)
        case JobView(status=Status.CANCELLED):
            return Cancelled(job=view.id)
    return None


def end_of(view: JobView) -> Outcome:
    """The outcome of a job that has one; raises `Garbled` where what the server told of it cannot be."""
    outcome = outcome_of(view)
    if outcome is None:
        raise Garbled(f"job {view.id} is said to have {view.status}, and not with what")
    return outcome
