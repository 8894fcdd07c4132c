"""The claim against a model: any mix of jobs, batches, workers, cancels and faults; the model says who may win what.

`DIBS_FUZZ=N` runs N examples of each test instead of the few that a quick run can afford.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings

from shared.contract import Job, Status
from shared.database import Database, open_database
from shared.faults import FaultClass
from shared.ids import new_id
from shared.receipts import Receipt, read_receipts, write_receipts
from shared.rows import insert_unless_taken
from tests.build import ANIMALS, make_job, names_of, receipts_of
from tests.conformance.claim_model import (
    CANCELLED,
    EXHAUSTED,
    Cancel,
    Fault,
    Faults,
    Run,
    Step,
    Story,
    Take,
    stories,
    told_in_advance,
)
from worker.batch import Interrupted, end_jobs

EXAMPLES = int(os.environ.get("DIBS_FUZZ", "40"))
PATIENCE_S = 60

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    # Each example takes names of its own in the test's database.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

OUTAGES = [Fault.LOST, Fault.LOST_BEFORE_COMMIT, Fault.LOST_AFTER_COMMIT]


@dataclass
class Ground:
    """One database as two workers open it, each with faults of its own; every story gets a number."""

    databases: tuple[Database, Database]
    faults: tuple[Faults, Faults]
    numbers: Iterator[int]


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    opened = open_database(database_url, pool_size=2), open_database(database_url, pool_size=2)
    faults = Faults(opened[0]), Faults(opened[1])
    with ExitStack() as stack:
        for each in faults:
            stack.enter_context(each.injected())
        yield Ground(opened, faults, itertools.count())
    for database in opened:
        await database.close()


class Telling:
    """One story, told on real databases."""

    def __init__(self, ground: Ground, story: Story) -> None:
        self._ground = ground
        self._prefix = f"{next(ground.numbers)}-"
        self.story = story
        # One after the other: their order is that of their ids, and of nothing else.
        self.jobs = [
            make_job(ANIMALS, [self._prefix + name for name in wish], job_id=new_id()) for wish in story.wishes
        ]
        self.outside: set[str] = set()
        self.seen: dict[object, Receipt] = {}

    async def told(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(self._work(place, steps) for place, steps in enumerate(self.story.workers)))

    async def _work(self, worker: int, steps: tuple[Step, ...]) -> None:
        for step in steps:
            match step:
                case Run():
                    await self._run(worker, step)
                case Cancel(job):
                    await self._cancel(worker, self.jobs[job])
                case Take(name):
                    await self._take(worker, self._prefix + name)

    async def _run(self, worker: int, run: Run) -> None:
        """As a worker does: whatever interrupts a batch, it comes again until every job has its receipt."""
        database, faults = self._ground.databases[worker], self._ground.faults[worker]
        jobs = [self.jobs[place] for place in run.jobs]
        faults.plan(run.faults)
        fresh = run.fresh
        while True:
            try:
                at_once = database.at_once
                found = await end_jobs(database.writes, ANIMALS, jobs, tries=1, fresh=fresh, at_once=at_once)
            except Interrupted as stop:
                if stop.fault.kind not in {FaultClass.PASSING, FaultClass.OUTAGE}:
                    raise
                fresh = False
            else:
                break
        faults.plan([])
        assert set(found) == {job.id for job in jobs}
        for receipt in found.values():
            self._see(receipt)

    async def _cancel(self, worker: int, job: Job) -> None:
        async with self._ground.databases[worker].writes.begin() as session:
            await write_receipts(session, [Receipt.cancelled(job, ANIMALS.name, tries=0)])
            receipt = (await read_receipts(session, [job.id]))[job.id]
        self._see(receipt)

    async def _take(self, worker: int, name: str) -> None:
        async with self._ground.databases[worker].writes.begin() as session:
            if await insert_unless_taken(session, ANIMALS.table, ["name"], [{"name": name}], ["id"]):
                self.outside.add(name)

    def _see(self, receipt: Receipt) -> None:
        assert self.seen.setdefault(receipt.id, receipt) == receipt, "a receipt changed"

    async def check(self) -> dict[int, Receipt]:
        """The receipts by the places of their jobs, after what must hold in any case."""
        database = self._ground.databases[0]
        stored = await receipts_of(database, self.jobs)
        rows = [name for name in await names_of(database) if name.startswith(self._prefix)]
        ends = {place: stored[job.id] for place, job in enumerate(self.jobs) if job.id in stored}
        assert set(ends) == self.story.concerned, "each job that was run or cancelled has a receipt, and no other"
        assert stored == self.seen, "what was answered is what is stored"
        won = [receipt.result["name"] for receipt in ends.values() if receipt.result]
        assert sorted([*won, *self.outside]) == rows, "a row for each that succeeded, and nobody else's"
        for place, receipt in ends.items():
            self._check_end(receipt, [self._prefix + name for name in self.story.wishes[place]], set(rows))
        return ends

    def _check_end(self, receipt: Receipt, wish: list[str], rows: set[str]) -> None:
        """Nothing is ever deleted here, so what was taken then is taken now."""
        match receipt.status:
            case Status.SUCCEEDED:
                assert receipt.choice is not None
                assert receipt.result is not None
                assert receipt.result["name"] == wish[receipt.choice]
                assert set(wish[: receipt.choice]) <= rows, "an earlier candidate is free"
                assert wish[receipt.choice] not in wish[: receipt.choice]
            case Status.EXHAUSTED:
                assert set(wish) <= rows, "a candidate is free"
            case other:
                assert other is Status.CANCELLED


@fuzzed
@given(story=stories(workers=1, faults=OUTAGES))
async def test_one_worker_does_what_the_model_says_whatever_outage_it_meets(ground: Ground, story: Story) -> None:
    telling = Telling(ground, story)
    await telling.told()
    ends = await telling.check()

    names = {Status.EXHAUSTED: EXHAUSTED, Status.CANCELLED: CANCELLED}
    found = {place: names.get(receipt.status, receipt.choice) for place, receipt in ends.items()}
    assert found == told_in_advance(story)


@fuzzed
@given(story=stories(workers=2, faults=list(Fault)))
async def test_two_workers_end_every_job_in_a_way_that_the_model_allows(ground: Ground, story: Story) -> None:
    telling = Telling(ground, story)
    await telling.told()
    await telling.check()


async def test_the_faults_are_met(ground: Ground) -> None:
    """Else the two tests above would show less than they say."""
    for number, fault in enumerate(Fault, 1):
        story = Story((("a",), ("b",)), ((Run((0, 1), fresh=True, faults=((1, fault),)),), ()))
        telling = Telling(ground, story)
        await telling.told()
        await telling.check()
        assert ground.faults[0].met == number


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.LOST_AFTER_COMMIT])
async def test_a_lone_job_meets_them_as_well(ground: Ground, fault: Fault) -> None:
    story = Story((("a",),), ((Run((0,), fresh=True, faults=((1, fault),)),), ()))
    telling = Telling(ground, story)
    await telling.told()
    await telling.check()
    assert ground.faults[0].met == 1
