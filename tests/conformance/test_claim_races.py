"""The claim while others claim too: from other connections, at the same moment, in any order."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from uuid import UUID

import pytest

from shared.contract import Job, Status
from shared.database import Database, open_database
from shared.receipts import Receipt, write_receipts
from tests.build import ANIMALS, make_job, make_wishes, names_of, receipts_of
from tests.waiting import held_name, until_blocked
from worker.claim import claim

REPEATS = 25


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[tuple[Database, Database]]:
    """The same database as two workers open it."""
    opened = open_database(database_url), open_database(database_url)
    yield opened
    for database in opened:
        await database.close()


def by(database: Database, jobs: list[Job]) -> asyncio.Task[dict[UUID, Receipt]]:
    return asyncio.create_task(claim(database.writes, ANIMALS, make_wishes(ANIMALS, jobs), tries=1))


async def test_the_same_batch_at_the_same_moment_gets_the_same_receipts(two: tuple[Database, Database]) -> None:
    for repeat in range(REPEATS):
        names = [f"{repeat} {n}" for n in range(4)]
        jobs = [make_job(ANIMALS, names) for _ in range(3)]

        first, second = await asyncio.gather(*(by(database, jobs) for database in two))

        assert first == second == await receipts_of(two[0], jobs)
        mine = [name for name in await names_of(two[0]) if name in names]
        assert mine == names[:3]


async def test_every_name_is_given_once_to_whoever_asks_for_it(two: tuple[Database, Database]) -> None:
    random = Random(1)
    for repeat in range(REPEATS):
        names = [f"{repeat} {n}" for n in range(4)]
        jobs = [make_job(ANIMALS, random.sample(names, 4)) for _ in range(8)]

        await asyncio.gather(*(by(two[place % 2], [job]) for place, job in enumerate(jobs)))

        receipts = (await receipts_of(two[0], jobs)).values()
        given = sorted(r.result["name"] for r in receipts if r.result)
        assert given == names
        assert sum(r.status is Status.EXHAUSTED for r in receipts) == 4


async def test_batches_that_want_the_same_names_in_opposite_orders_do_not_deadlock(
    two: tuple[Database, Database],
) -> None:
    for repeat in range(REPEATS):
        names = [f"{repeat} {n:02}" for n in range(40)]

        forward, backward = await asyncio.gather(
            by(two[0], [make_job(ANIMALS, [name]) for name in names]),
            by(two[1], [make_job(ANIMALS, [name]) for name in reversed(names)]),
        )

        statuses = [r.status for r in (*forward.values(), *backward.values())]
        assert statuses.count(Status.SUCCEEDED) == statuses.count(Status.EXHAUSTED) == 40


@pytest.mark.postgresql
async def test_who_loses_its_candidate_in_the_last_moment_gets_the_next(postgresql_database: Database) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    async with held_name(postgresql_database, "Max") as winner:
        loser = by(postgresql_database, [job])
        await until_blocked(postgresql_database)
        await winner.commit()

        receipt = (await loser)[job.id]

    assert (receipt.choice, await names_of(postgresql_database)) == (1, ["Cody", "Max"])


@pytest.mark.postgresql
async def test_who_waits_for_a_candidate_that_is_given_back_gets_it(postgresql_database: Database) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    async with held_name(postgresql_database, "Max") as other:
        waiter = by(postgresql_database, [job])
        await until_blocked(postgresql_database)
        await other.rollback()

        receipt = (await waiter)[job.id]

    assert (receipt.choice, await names_of(postgresql_database)) == (0, ["Max"])


@pytest.mark.postgresql
async def test_a_cancel_in_the_last_moment_takes_the_row_away_and_leaves_the_others_theirs(
    postgresql_database: Database,
) -> None:
    job, other = make_job(ANIMALS, ["Max", "Cody"]), make_job(ANIMALS, ["Robby"])
    cancelled = Receipt.cancelled(job, ANIMALS.name, tries=0)
    async with postgresql_database.writes() as canceller:
        await write_receipts(canceller, [cancelled])
        working = by(postgresql_database, [job, other])
        await until_blocked(postgresql_database)
        await canceller.commit()

        receipts = await working

    assert receipts[job.id] == cancelled
    assert receipts[other.id].status is Status.SUCCEEDED
    assert await names_of(postgresql_database) == ["Robby"]
