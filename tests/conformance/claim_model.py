"""What may come of claims, said without a database; and the faults that they meet on one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import Connection, event

from shared.database import Database

NAMES = "abcde"


class Fault(Enum):
    """What a statement or a commit may meet."""

    DEADLOCK = "40P01"
    SERIALIZATION = "40001"
    LOST = "the connection is lost before the statement"
    LOST_BEFORE_COMMIT = "the connection is lost before the commit"
    LOST_AFTER_COMMIT = "the connection is lost after the commit: nobody hears that it came through"

    @property
    def is_passing(self) -> bool:
        return self in {Fault.DEADLOCK, Fault.SERIALIZATION}


@dataclass(frozen=True)
class Run:
    """A batch of jobs, by their places, that a worker runs; `faults` say at which of its statements what comes."""

    jobs: tuple[int, ...]
    fresh: bool
    faults: tuple[tuple[int, Fault], ...]


@dataclass(frozen=True)
class Cancel:
    job: int


@dataclass(frozen=True)
class Take:
    """Somebody outside inserts a name."""

    name: str


Step = Run | Cancel | Take


@dataclass(frozen=True)
class Story:
    """The candidates of each job, and what each worker does, one step after the other."""

    wishes: tuple[tuple[str, ...], ...]
    workers: tuple[tuple[Step, ...], ...]

    @property
    def concerned(self) -> set[int]:
        """The places of the jobs that must have a receipt when all is done."""
        steps = [step for worker in self.workers for step in worker]
        cancelled = {step.job for step in steps if isinstance(step, Cancel)}
        return cancelled | {job for step in steps if isinstance(step, Run) for job in step.jobs}


def stories(*, workers: int, faults: Sequence[Fault]) -> st.SearchStrategy[Story]:
    """Any mix of candidates, batches, redeliveries, cancels and faults."""
    names = st.sampled_from(NAMES)
    # Repeats are allowed everywhere: of a candidate in a job, of a job in a batch, of a batch.
    wishes = st.lists(st.lists(names, min_size=1, max_size=5).map(tuple), min_size=1, max_size=7).map(tuple)

    def of(wished: tuple[tuple[str, ...], ...]) -> st.SearchStrategy[Story]:
        job = st.integers(0, len(wished) - 1)
        fault = st.tuples(st.integers(1, 8), st.sampled_from(faults))
        run = st.builds(
            Run, st.lists(job, min_size=1, max_size=6).map(tuple), st.booleans(), st.lists(fault, max_size=3).map(tuple)
        )
        step = st.one_of(run, run, run, st.builds(Cancel, job), st.builds(Take, names))
        steps = st.lists(step, min_size=1, max_size=5).map(tuple)
        return st.builds(Story, st.just(wished), st.lists(steps, min_size=workers, max_size=workers).map(tuple))

    return wishes.flatmap(of)


CANCELLED, EXHAUSTED = "cancelled", "exhausted"


def told_in_advance(story: Story) -> dict[int, str | int]:
    """What becomes of each job where one worker runs and no fault lets a later job overtake.

    That is the place of its first candidate that was free when its turn came, or exhausted, or cancelled.
    """
    ends: dict[int, str | int] = {}
    taken: set[str] = set()
    for step in (step for worker in story.workers for step in worker):
        match step:
            case Take(name):
                taken.add(name)
            case Cancel(job):
                ends.setdefault(job, CANCELLED)
            case Run(jobs):
                for job in jobs:
                    if job in ends:
                        continue
                    free = [place for place, name in enumerate(story.wishes[job]) if name not in taken]
                    ends[job] = free[0] if free else EXHAUSTED
                    taken |= {story.wishes[job][place] for place in free[:1]}
    return ends


class Injected(Exception):  # noqa: N818
    """As a driver raises it."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"injected {sqlstate}")
        self.sqlstate = sqlstate


class Faults:
    """Lets the statements of one worker's database meet faults, one run of a batch at a time."""

    def __init__(self, database: Database) -> None:
        self._engine = database.writer.sync_engine
        self._at_once = database.at_once
        self._due: list[tuple[int, Fault]] = []
        self._statements = 0
        self.met = 0

    @contextmanager
    def injected(self) -> Iterator[None]:
        """While inside, what is due comes."""
        dialect: Any = self._engine.dialect
        commit = dialect.do_commit

        def do_commit(connection: Any) -> None:
            if self._is_due(Fault.LOST_BEFORE_COMMIT):
                raise ConnectionResetError("injected before a commit")
            commit(connection)
            if self._is_due(Fault.LOST_AFTER_COMMIT):
                raise ConnectionResetError("injected after a commit")

        event.listen(self._engine, "before_cursor_execute", self._before)
        dialect.do_commit = do_commit
        if self._at_once:
            self._at_once.around = self._around
        try:
            yield
        finally:
            del dialect.do_commit
            event.remove(self._engine, "before_cursor_execute", self._before)

    def plan(self, faults: Iterable[tuple[int, Fault]]) -> None:
        self._due, self._statements = list(faults), 0

    def _is_due(self, kind: Fault) -> bool:
        due = next((item for item in self._due if item[1] is kind), None)
        if due is None:
            return False
        self._due.remove(due)
        self.met += 1
        return True

    def _before(self, connection: Connection, cursor: Any, *_: object) -> None:
        due = self._due_now()
        if due is None:
            return
        if due.is_passing:
            raise Injected(due.value)
        if connection.dialect.name == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise ConnectionResetError("injected before a statement")

    @contextmanager
    def _around(self, _: str) -> Iterator[None]:
        """A statement that is sent at once is its own commit."""
        due = self._due_now()
        if due is not None:
            raise Injected(due.value) if due.is_passing else ConnectionResetError("injected before a statement")
        yield
        if self._is_due(Fault.LOST_AFTER_COMMIT):
            raise ConnectionResetError("injected after a statement that commits")

    def _due_now(self) -> Fault | None:
        """What the next statement meets."""
        self._statements += 1
        due = next((item for item in self._due if item[0] <= self._statements and "COMMIT" not in item[1].name), None)
        if due is None:
            return None
        self._due.remove(due)
        self.met += 1
        return due[1]
