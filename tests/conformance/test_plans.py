"""PostgreSQL finds what a claim asks for by an index, whatever the tables looked like when the plan was made."""

from typing import Any

import pytest
from sqlalchemy import TextClause, text

from shared.database import Database
from tests.build import ANIMALS, HANDLES, add_tenants, make_handle_job, make_job, make_wishes
from worker.claim import claim

pytestmark = pytest.mark.postgresql

SCANS = text(
    "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('animals', 'receipts') AND seq_scan > 0"
)
READ = text("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'animals'")
FLUSHED = text("SELECT pg_stat_force_next_flush()")

KEPT_AFTER = 10
"""PostgreSQL keeps a plan from the sixth execution of a statement on."""
GROWN = 5000


async def _counted(database: Database, asked: TextClause) -> list[Any]:
    async with database.reads() as session:
        await session.execute(FLUSHED)
        await session.commit()
        return [*await session.execute(asked)]


async def _claim(database: Database, number: int, *, jobs: int, at_once: bool) -> None:
    made = [make_job(ANIMALS, [f"{number}-{job}-{choice}" for choice in range(3)]) for job in range(jobs)]
    way = database.at_once if at_once else None
    wishes = make_wishes(ANIMALS, made)
    receipts = await claim(database.writes, ANIMALS, wishes, tries=1, fresh=at_once, at_once=way)
    assert {receipt.choice for receipt in receipts.values()} == {0}


ways = pytest.mark.parametrize(("jobs", "at_once"), [(1, True), (1, False), (20, False)])


@ways
async def test_no_claim_reads_a_whole_table(postgresql_database: Database, jobs: int, at_once: bool) -> None:
    before = await _counted(postgresql_database, SCANS)
    for number in range(KEPT_AFTER):
        await _claim(postgresql_database, number, jobs=jobs, at_once=at_once)

    assert await _counted(postgresql_database, SCANS) == before


@ways
async def test_nor_does_one_by_a_plan_of_when_the_table_was_small(
    postgresql_database: Database,
    jobs: int,
    *,
    at_once: bool,
) -> None:
    """A whole index is as long as its table."""
    for number in range(KEPT_AFTER):
        await _claim(postgresql_database, number, jobs=jobs, at_once=at_once)
    async with postgresql_database.writes.begin() as session:
        await session.execute(text(f"INSERT INTO animals (name) SELECT 'x' || n FROM generate_series(1, {GROWN}) AS n"))

    [[before]] = await _counted(postgresql_database, READ)
    await _claim(postgresql_database, KEPT_AFTER, jobs=jobs, at_once=at_once)
    [[after]] = await _counted(postgresql_database, READ)

    assert after - before < GROWN / 10


@pytest.mark.parametrize("jobs", [1, 20])
async def test_nor_where_the_key_has_two_columns(postgresql_database: Database, jobs: int) -> None:
    async def claim_handles(number: int) -> None:
        made = [make_handle_job("acme", f"{number}-{job}-0", f"{number}-{job}-1") for job in range(jobs)]
        await claim(postgresql_database.writes, HANDLES, make_wishes(HANDLES, made), tries=1)

    await add_tenants(postgresql_database, "acme")
    for number in range(KEPT_AFTER):
        await claim_handles(number)
    grown = f"INSERT INTO handles (tenant, handle, owner) SELECT 'acme', n, 'Ada' FROM generate_series(1, {GROWN}) AS n"
    async with postgresql_database.writes.begin() as session:
        await session.execute(text(grown))

    asked = text("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'handles'")
    [[before]] = await _counted(postgresql_database, asked)
    await claim_handles(KEPT_AFTER)
    [[after]] = await _counted(postgresql_database, asked)

    assert after - before < GROWN / 10
