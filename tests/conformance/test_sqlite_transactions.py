"""SQLite's transactions as the driver would not do them by itself."""

import asyncio

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError

from shared.database import Database
from tests.build import ANIMALS, names_of
from tests.waiting import held_name, impatient

pytestmark = pytest.mark.sqlite


async def test_a_released_savepoint_does_not_survive_the_outer_rollback(sqlite_database: Database) -> None:
    async with sqlite_database.writes() as session:
        async with session.begin_nested():
            await session.execute(insert(ANIMALS.table), [{"name": "Max"}])
        await session.rollback()

    assert await names_of(sqlite_database) == []


async def test_a_rolled_back_savepoint_leaves_the_outer_transaction_its_rows(sqlite_database: Database) -> None:
    async with sqlite_database.writes.begin() as session:
        await session.execute(insert(ANIMALS.table), [{"name": "Max"}])
        async with session.begin_nested() as savepoint:
            await session.execute(insert(ANIMALS.table), [{"name": "Cody"}])
            await savepoint.rollback()

    assert await names_of(sqlite_database) == ["Max"]


async def test_a_writer_begins_as_one(sqlite_database: Database, sqlite_url: str) -> None:
    async with sqlite_database.writes.begin() as writer, impatient(sqlite_url) as other:
        await writer.execute(text("SELECT 1"))

        with pytest.raises(OperationalError, match="locked"):
            async with other.writes.begin() as session:
                await session.execute(text("SELECT 1"))


async def test_a_reader_sees_one_moment_while_others_write(sqlite_database: Database) -> None:
    async with sqlite_database.reads() as reader:
        count = text("SELECT count(*) FROM animals")
        assert (await reader.execute(count)).scalar_one() == 0
        async with sqlite_database.writes.begin() as writer:
            await writer.execute(insert(ANIMALS.table), [{"name": "Max"}])

        assert (await reader.execute(count)).scalar_one() == 0

    assert await names_of(sqlite_database) == ["Max"]


async def test_reads_go_on_while_a_writer_holds_the_lock(sqlite_database: Database) -> None:
    async with held_name(sqlite_database, "Max"):
        async with asyncio.timeout(5):
            assert await names_of(sqlite_database) == []
        assert await sqlite_database.answers()


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2)])
@pytest.mark.parametrize("kind", ["reads", "writes"])
async def test_every_connection_is_set_up(sqlite_database: Database, kind: str, pragma: str, value: object) -> None:
    async with getattr(sqlite_database, kind)() as session:
        assert (await session.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value
