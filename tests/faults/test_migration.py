"""The schema moves on while workers run: nothing is lost, whichever of the two comes first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter
from uuid import uuid4

import pytest
from sqlalchemy import MetaData, Table, func, select, text

from shared import receipts
from shared.contract import Job, Status
from shared.database import Database, open_database
from shared.migrate import migrate
from shared.queue import Queue
from tests.build import ANIMALS, make_job, names_of, receipts_of
from tests.conftest import ask
from tests.integration.working import drained, opened, submit, working
from tests.services import PrivatePostgres
from tests.waiting import until, until_blocked
from worker.retry import Policy

pytestmark = pytest.mark.postgresql

OLD = "0002"
NEW_COLUMNS = {"caller", "content", "retry_of"}
ALREADY_THERE = 50_000

FILL = text(
    "INSERT INTO receipts (id, collection, status, fingerprint, tries, submitted_at, finished_at) "
    "SELECT gen_random_uuid(), 'animals', 'exhausted', repeat('0', 64), 1, now(), now() FROM generate_series(1, :many)"
)
INDEXES = text("SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'receipts'::regclass")


@pytest.fixture
async def old_url(postgres_server: PrivatePostgres) -> AsyncIterator[str]:
    """A database as the version before left it, with receipts in it."""
    name = f"old_{uuid4().hex}"
    await ask(postgres_server.url(), f"CREATE DATABASE {name}")
    url = postgres_server.url(name)
    await migrate(url, revision=OLD)
    database = open_database(url)
    async with database.writes.begin() as session:
        await session.execute(FILL, {"many": ALREADY_THERE})
    await database.close()
    yield url
    await ask(postgres_server.url(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def old_code(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Receipts as the version before reads and writes them; undone, this version's again."""
    names = tuple(name for name in receipts._NAMES if name not in NEW_COLUMNS)
    columns = [column._copy() for column in receipts.TABLE.columns if column.name not in NEW_COLUMNS]
    monkeypatch.setattr(receipts, "TABLE", Table("receipts", MetaData(), *columns))
    monkeypatch.setattr(receipts, "_NAMES", names)
    monkeypatch.setattr(receipts, "_values", attrgetter(*names))
    return monkeypatch


@asynccontextmanager
async def submitting(queue: Queue) -> AsyncIterator[list[Job]]:
    """Adds come one after the other for as long as the block lasts."""
    jobs: list[Job] = []
    enough = asyncio.Event()

    async def go_on() -> None:
        while not enough.is_set():
            made = [make_job(ANIMALS, [f"{len(jobs) + n:06}"]) for n in range(5)]
            await submit(queue, *made)
            jobs.extend(made)
            await asyncio.sleep(0)

    sending = asyncio.create_task(go_on())
    try:
        yield jobs
    finally:
        enough.set()
        await sending


async def ended(database: Database) -> int:
    async with database.reads() as session:
        return int((await session.execute(select(func.count()).select_from(ANIMALS.table))).scalar_one())


async def each_has_one_row_and_one_receipt(database: Database, jobs: list[Job]) -> None:
    found = await receipts_of(database, jobs)
    assert len(found) == len(jobs)
    assert {receipt.status for receipt in found.values()} == {Status.SUCCEEDED}
    assert await names_of(database) == [job.candidates[0]["name"] for job in jobs]


async def test_workers_of_the_version_before_go_on_while_the_receipts_are_migrated(
    old_url: str, redis_url: str, old_code: pytest.MonkeyPatch
) -> None:
    async with opened(old_url, redis_url) as (database, queue), submitting(queue) as jobs:
        async with working(old_url, redis_url):
            await until(lambda: ended(database))
            await migrate(old_url)
            so_far = await ended(database)

            async def goes_on() -> bool:
                return await ended(database) > so_far + 50

            await until(goes_on)
        old_code.undo()
        async with working(old_url, redis_url):
            await until(goes_on)
    async with opened(old_url, redis_url) as (database, queue), working(old_url, redis_url):
        await drained(queue)
        assert len(jobs) > 50
        await each_has_one_row_and_one_receipt(database, jobs)
        async with database.reads() as session:
            indexes = {(str(row[0]), row[1]) for row in await session.execute(INDEXES)}
    assert {("ix_receipts_status_finished_at_id", True), ("ix_receipts_caller_finished_at_id", True)} <= indexes


async def test_workers_of_this_version_wait_for_a_migration_that_comes_after_them(old_url: str, redis_url: str) -> None:
    async with opened(old_url, redis_url) as (database, queue), working(old_url, redis_url) as worker:
        worker.hands.policy = Policy(cap_s=0.2)
        jobs = [make_job(ANIMALS, [f"{n:03}"]) for n in range(30)]
        await submit(queue, *jobs)

        async def was_tried() -> bool:
            waiting = await queue.look(jobs[0].id)
            return waiting is not None and await queue.progress(str(waiting.ticket.batch)) > (0, 0)

        await until(was_tried)
        await migrate(old_url)
        await drained(queue)
        await each_has_one_row_and_one_receipt(database, jobs)


async def test_a_transaction_that_holds_the_receipts_is_waited_for_and_nobody_behind_it(
    old_url: str, redis_url: str, old_code: pytest.MonkeyPatch
) -> None:
    async with opened(old_url, redis_url) as (database, queue), working(old_url, redis_url):
        async with database.reads() as reader:
            await reader.execute(text("SELECT count(*) FROM receipts"))
            migrating = asyncio.create_task(migrate(old_url))
            await until_blocked(database)
            job = make_job(ANIMALS, ["Max"])
            await submit(queue, job)
            await drained(queue)
            assert not migrating.done()
        await migrating
        await each_has_one_row_and_one_receipt(database, [job])


async def test_an_index_whose_build_broke_off_is_built_anew(old_url: str) -> None:
    await migrate(old_url, revision="0003")
    database = open_database(old_url)
    async with database.writes.begin() as session:
        broken = "indexrelid = 'ix_receipts_status_finished_at_id'::regclass"
        await session.execute(text(f"UPDATE pg_index SET indisvalid = false WHERE {broken}"))
        await session.execute(text(f"UPDATE dibs_alembic_version SET version_num = '{OLD}'"))

    await migrate(old_url)

    async with database.reads() as session:
        assert all(is_valid for _, is_valid in await session.execute(INDEXES))
    await database.close()


async def test_a_column_that_its_owner_widens_ends_no_job(postgresql_url: str, redis_url: str) -> None:
    """A prepared statement that no longer fits is prepared anew."""
    async with opened(postgresql_url, redis_url) as (database, queue), working(postgresql_url, redis_url):
        jobs = []
        for length in (255, 256, 257):
            async with database.writes.begin() as session:
                await session.execute(text(f"ALTER TABLE animals ALTER name TYPE varchar({length})"))
            jobs += [make_job(ANIMALS, [f"{length} {n}"]) for n in range(3)]
            for job in jobs[-3:]:
                await submit(queue, job)
                await drained(queue)
        await each_has_one_row_and_one_receipt(database, jobs)
