"""What a list shows of a job's content, on every database."""

from dataclasses import replace

from shared.database import Database
from shared.glances import FIRST, glance_at
from shared.ids import new_id
from shared.receipts import Receipt, write_receipts
from tests.build import ANIMALS, make_handle_job, make_job


async def test_the_first_candidates_and_how_many_there_are(database: Database) -> None:
    few, many = make_job(ANIMALS, ["Max"]), make_handle_job("acme", *(f"handle-{n}" for n in range(50)))
    without = replace(make_job(ANIMALS, ["Max"]), candidates=[])
    async with database.writes.begin() as session:
        receipts = [Receipt.exhausted(job, "animals", tries=1) for job in (few, many, without)]
        await write_receipts(session, receipts)
    async with database.reads() as session:
        glances = await glance_at(session, [few.id, many.id, without.id, new_id()])
    assert glances == {
        few.id: ([{"name": "Max"}], 1),
        many.id: ([{"handle": f"handle-{n}"} for n in range(FIRST)], 50),
    }


async def test_of_no_jobs(database: Database) -> None:
    async with database.reads() as session:
        assert await glance_at(session, []) == {}
