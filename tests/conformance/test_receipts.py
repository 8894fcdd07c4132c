"""Receipts on every database: written once, read back as they were."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from shared.contract import Job, Status
from shared.database import Database, open_database
from shared.encoding import encode
from shared.ids import new_id
from shared.problems import FieldError, Kind, problem
from shared.receipts import Receipt, write_receipts
from tests.build import ANIMALS, make_job, receipts_of

FULL_ERROR = problem(
    Kind.REFUSED,
    "23514: no",
    constraint="ck_animals_name",
    column="name",
    errors=[FieldError(pointer="/a", detail="b")],
)
OUTCOMES: dict[str, Callable[[Job], Receipt]] = {
    "succeeded": lambda job: Receipt.succeeded(job, "animals", tries=1, choice=2, row={"id": 7, "name": "Zoë 🐈"}),
    "exhausted": lambda job: Receipt.exhausted(job, "animals", tries=3),
    "failed": lambda job: Receipt.failed(job, "animals", tries=8, error=FULL_ERROR),
    "cancelled": lambda job: Receipt.cancelled(job, "animals", tries=0),
}


async def written(database: Database, *receipts: Receipt) -> set[object]:
    async with database.writes.begin() as session:
        return {*await write_receipts(session, receipts)}


def of_id(receipt: Receipt) -> Job:
    return make_job(ANIMALS, ["Max"], job_id=receipt.id)


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_receipt_is_read_as_it_was_written(database: Database, outcome: str) -> None:
    receipt = OUTCOMES[outcome](make_job(ANIMALS, ["Max"]))

    assert await written(database, receipt) == {receipt.id}

    read = (await receipts_of(database, [of_id(receipt)]))[receipt.id]
    assert read == receipt
    assert (read.status, read.view()) == (Status(outcome), receipt.view())
    assert read.submitted_at.tzinfo is UTC
    assert read.finished_at.tzinfo is UTC


async def test_receipts_of_every_outcome_are_written_together(database: Database) -> None:
    receipts = [make(make_job(ANIMALS, [name])) for make in OUTCOMES.values() for name in ("Max", "Cody")]

    assert await written(database, *receipts) == {receipt.id for receipt in receipts}

    assert await receipts_of(database, [of_id(receipt) for receipt in receipts]) == {r.id: r for r in receipts}


@pytest.mark.parametrize("values", [(1, True), (True, 1), (0, 0.0), (None, 0), ("1", 1)])
async def test_what_python_takes_for_equal_is_told_apart(database: Database, values: tuple[Any, Any]) -> None:
    job, at = make_job(ANIMALS, ["Max"]), datetime(2026, 1, 1, tzinfo=UTC)
    receipts = [
        Receipt.succeeded(replace(job, id=new_id()), "animals", tries=1, choice=0, row={"value": value}, at=at)
        for value in values
    ]

    await written(database, *receipts)

    read = await receipts_of(database, [of_id(receipt) for receipt in receipts])
    assert [encode(read[receipt.id].result) for receipt in receipts] == [encode(r.result) for r in receipts]


async def test_times_are_utc_wherever_they_came_from(database: Database) -> None:
    noon_in_tokyo = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
    job = replace(make_job(ANIMALS, ["Max"]), submitted_at=noon_in_tokyo)

    await written(database, Receipt.exhausted(job, "animals", tries=1))

    [read] = (await receipts_of(database, [job])).values()
    assert read.submitted_at == noon_in_tokyo
    assert read.submitted_at.utcoffset() == timedelta(0)


async def test_a_second_receipt_of_a_job_is_not_written_and_changes_nothing(database: Database) -> None:
    job = make_job(ANIMALS, ["Max"])
    first = Receipt.succeeded(job, "animals", tries=1, choice=0, row={"id": 1, "name": "Max"})
    await written(database, first)

    assert await written(database, Receipt.cancelled(job, "animals", tries=2)) == set()

    assert await receipts_of(database, [job]) == {job.id: first}


async def test_only_the_first_receipts_of_their_jobs_are_told(database: Database) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(5)]
    old = [Receipt.cancelled(job, "animals", tries=0) for job in jobs[1:3]]
    await written(database, *old)

    told = await written(database, *(Receipt.exhausted(job, "animals", tries=1) for job in jobs))

    assert told == {jobs[place].id for place in (0, 3, 4)}


async def test_a_job_without_a_receipt_is_not_found(database: Database) -> None:
    known, unknown = make_job(ANIMALS, ["Max"]), make_job(ANIMALS, ["Max"])
    await written(database, Receipt.exhausted(known, "animals", tries=1))

    assert set(await receipts_of(database, [unknown, known])) == {known.id}
    assert await receipts_of(database, []) == {}
    assert await written(database) == set()


async def test_more_receipts_than_one_statement_takes_are_written_and_read(database: Database) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(2500)]
    receipts = {job.id: Receipt.exhausted(job, "animals", tries=1) for job in jobs}

    assert await written(database, *receipts.values()) == set(receipts)
    assert await receipts_of(database, jobs) == receipts


async def test_a_receipt_outlives_the_process_that_wrote_it(database: Database, database_url: str) -> None:
    job = make_job(ANIMALS, ["Max"])
    receipt = Receipt.exhausted(job, "animals", tries=1)
    await written(database, receipt)
    await database.close()

    later = open_database(database_url)
    try:
        assert await receipts_of(later, [job]) == {job.id: receipt}
    finally:
        await later.close()


async def test_two_that_write_the_same_receipts_in_opposite_orders_do_not_deadlock(database: Database) -> None:
    for _ in range(5):
        receipts = [Receipt.exhausted(make_job(ANIMALS, ["Max"]), "animals", tries=1) for _ in range(300)]

        first, second = await asyncio.gather(written(database, *receipts), written(database, *reversed(receipts)))

        assert first | second == {receipt.id for receipt in receipts}
        assert not first & second
