"""PostgreSQL finds what a claim asks for by an index, whatever the tables looked like when the plan was made."""

import pytest
from sqlalchemy import text

from shared.database import Database
from tests.build import ANIMALS, make_job, make_wishes
from worker.claim import claim

pytestmark = pytest.mark.postgresql

SCANS = text(
    "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('animals', 'receipts') AND seq_scan > 0"
)
FLUSHED = text("SELECT pg_stat_force_next_flush()")

KEPT_AFTER = 10
"""PostgreSQL keeps a plan from the sixth execution of a statement on."""


async def _scans(database: Database) -> dict[str, int]:
    async with database.reads() as session:
        await session.execute(FLUSHED)
        await session.commit()
        found = await session.execute(SCANS)
        return {row.relname: row.seq_scan for row in found}


@pytest.mark.parametrize("jobs", [1, 20])
async def test_no_claim_reads_a_whole_table(postgresql_database: Database, jobs: int) -> None:
    before = await _scans(postgresql_database)
    for number in range(KEPT_AFTER):
        made = [make_job(ANIMALS, [f"{number}-{job}-{choice}" for choice in range(3)]) for job in range(jobs)]
        receipts = await claim(postgresql_database.writes, ANIMALS, make_wishes(ANIMALS, made), tries=1)
        assert {receipt.choice for receipt in receipts.values()} == {0}

    assert await _scans(postgresql_database) == before
