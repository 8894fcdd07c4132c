"""Old receipts go on every database: those that are meant, in steps, and nothing else with them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.contract import Job, Status
from shared.database import Database
from shared.problems import Kind, problem
from shared.pruning import SAFE_AGE, Meant
from shared.queue import Queue
from shared.receipts import Receipt, write_receipts
from tests.build import ANIMALS, make_job, make_wishes, names_of, receipts_of
from tests.serving import WAIT, drained, serving, working
from tests.waiting import held_name
from worker.claim import claim

LINE = datetime(2026, 6, 1, tzinfo=UTC)
KEY = {"Idempotency-Key": "signup-4711"}


async def ended(database: Database, *, at: datetime, status: Status = Status.EXHAUSTED, into: str = "animals") -> Job:
    """A job that ended at `at`."""
    job = make_job(ANIMALS, ["Max"])
    made = {
        Status.EXHAUSTED: Receipt.exhausted(job, into, tries=1),
        Status.FAILED: Receipt.failed(job, into, tries=1, error=problem(Kind.POISON, "…")),
    }[status]
    async with database.writes.begin() as session:
        await write_receipts(session, [replace(made, finished_at=at)])
    return job


async def steps(database: Database, meant: Meant, batch: int = 1000) -> list[int]:
    return [gone async for gone in meant.prune(database, batch=batch, pause_s=0)]


async def test_what_ended_before_the_line_goes_and_the_rest_stays(database: Database) -> None:
    before = await ended(database, at=LINE - timedelta(microseconds=1))
    at = await ended(database, at=LINE)

    assert await Meant(LINE).count(database) == 1
    assert sum(await steps(database, Meant(LINE))) == 1

    assert set(await receipts_of(database, [before, at])) == {at.id}


async def test_steps_are_no_larger_than_asked_and_leave_nothing_out(database: Database) -> None:
    # Many end at one moment, as the jobs of a claim may: a step may end among them.
    jobs = [await ended(database, at=LINE - timedelta(seconds=1 + n // 7)) for n in range(49)]

    assert await steps(database, Meant(LINE), batch=5) == [5] * 9 + [4]

    assert await receipts_of(database, jobs) == {}


@pytest.mark.parametrize("narrower", [{"collection": "handles"}, {"status": Status.FAILED}])
async def test_only_what_is_meant_goes(database: Database, narrower: dict[str, str]) -> None:
    old = LINE - timedelta(days=1)
    kept = [await ended(database, at=old) for _ in range(7)]
    gone = [await ended(database, at=old, status=Status.FAILED, into="handles") for _ in range(3)]
    meant = Meant(LINE, **narrower)  # type: ignore[arg-type]  # one of the two each time

    assert await meant.count(database) == 3
    assert sum(await steps(database, meant, batch=2)) == 3

    assert set(await receipts_of(database, [*kept, *gone])) == {job.id for job in kept}


async def test_the_rows_of_a_collection_stay(database: Database) -> None:
    job = make_job(ANIMALS, ["Max"])
    await claim(database.writes, ANIMALS, make_wishes(ANIMALS, [job]), tries=1)

    assert sum(await steps(database, Meant(datetime.now(UTC) + timedelta(minutes=1)))) == 1

    assert await receipts_of(database, [job]) == {}
    assert await names_of(database) == ["Max"]


async def test_what_broke_off_is_done_so_far_and_can_be_gone_on_with(database: Database) -> None:
    jobs = [await ended(database, at=LINE - timedelta(seconds=n)) for n in range(1, 11)]
    async for _ in Meant(LINE).prune(database, batch=4, pause_s=0):
        break

    assert len(await receipts_of(database, jobs)) == 6
    assert await steps(database, Meant(LINE), batch=4) == [4, 2]


async def test_two_that_prune_at_once_take_nothing_twice(database: Database) -> None:
    jobs = [await ended(database, at=LINE - timedelta(seconds=n)) for n in range(1, 41)]

    async def in_turn() -> AsyncIterator[int]:
        one, other = (Meant(LINE).prune(database, batch=3, pause_s=0) for _ in range(2))
        while True:
            done = [await anext(pruning, None) for pruning in (one, other)]
            for gone in done:
                yield gone or 0
            if done == [None, None]:
                return

    assert sum([gone async for gone in in_turn()]) == 40
    assert await receipts_of(database, jobs) == {}


@pytest.mark.postgresql
async def test_a_worker_in_the_middle_of_a_claim_holds_nothing_up(postgresql_database: Database) -> None:
    await ended(postgresql_database, at=LINE - timedelta(days=1))
    async with held_name(postgresql_database, "Max"):
        assert sum(await steps(postgresql_database, Meant(LINE))) == 1


async def test_a_late_repeat_of_what_was_pruned_is_a_new_add(database: Database, fake_queue: Queue) -> None:
    content = {"candidates": ["Max", "Cody"]}
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        first = (await client.post("/add", json=content, headers=KEY | WAIT)).json()
        again = (await client.post("/add", json=content, headers=KEY | WAIT)).json()
        assert again == first

        await drained(fake_queue)
        await steps(database, Meant(datetime.now(UTC) + timedelta(minutes=1)))

        gone = await client.get(first["links"]["self"])
        assert (gone.status_code, gone.json()["type"]) == (404, "/problems/unknown-job")
        late = (await client.post("/add", json=content, headers=KEY | WAIT)).json()
    assert late["result"], late
    assert (late["id"], late["result"]["name"]) == (first["id"], "Cody")
    assert await names_of(database) == ["Cody", "Max"]


def test_the_safe_age_is_longer_than_the_queue_remembers() -> None:
    assert timedelta(days=30) < SAFE_AGE <= timedelta(days=31)
