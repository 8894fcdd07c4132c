"""Jobs as the lines of a list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from api.callers import Caller
from api.door import Door
from api.job_list import JobList, PageFilter
from api.page import words
from shared.contract import JobView, Status
from shared.glances import Glance, glance_at
from shared.ids import retry_id
from shared.problems import Problem


@dataclass(frozen=True)
class JobRow:
    """A job in one line: its first candidates, how many of them are not shown, and the job that repeats it."""

    id: UUID
    status: Status
    candidates: list[str]
    more: int
    winner: str | None
    collection: str
    tries: int
    submitted_at: datetime
    finished_at: datetime | None
    error: Problem | None
    again: UUID | None

    @property
    def name(self) -> str:
        """What to call the job where its line is not seen."""
        return ", ".join(self.candidates) or str(self.id)

    @property
    def can_cancel(self) -> bool:
        return not self.status.is_outcome

    @property
    def can_retry(self) -> bool:
        return self.status is Status.FAILED


class Rows(NamedTuple):
    """One page of a list, and the cursor of the next."""

    rows: list[JobRow]
    next: str | None


async def read_rows(door: Door, caller: Caller, asked: PageFilter) -> Rows:
    """The jobs of `caller` that `asked` wants, as `GET /jobs` lists them."""
    page = await JobList(door).page(caller, asked)
    glances = {} if asked.is_of_waiting else await _glances(door, [job.id for job in page.jobs])
    again = await sent_again(door, [job.id for job in page.jobs if job.status is Status.FAILED])
    return Rows([_row(job, glances.get(job.id), again.get(job.id)) for job in page.jobs], page.next)


async def sent_again(door: Door, jobs: Sequence[UUID]) -> dict[UUID, UUID]:
    """The jobs that repeat `jobs`, where there are such and it can be known."""
    found = await door.reader.look_at([retry_id(job) for job in jobs]) if jobs else []
    known = zip(jobs, found, strict=True)
    return {job: one.id for job, one in known if one is not None and not isinstance(one, Exception)}


async def _glances(door: Door, jobs: Sequence[UUID]) -> dict[UUID, Glance]:
    with door.at_hand.database():
        async with door.database.reads() as session:
            return await glance_at(session, jobs)


def _row(job: JobView, glance: Glance | None, again: UUID | None) -> JobRow:
    first, of = glance or Glance([], 0)
    winner = None
    if job.result is not None and first:
        # The row has all columns; told are those that its candidate had.
        winner = words.candidate({name: job.result.get(name) for name in first[0]})
    return JobRow(
        id=job.id,
        status=job.status,
        candidates=[words.candidate(row) for row in first],
        more=of - len(first),
        winner=winner,
        collection=job.collection,
        tries=job.tries,
        submitted_at=job.submitted_at,
        finished_at=job.finished_at,
        error=job.error,
        again=again,
    )
