"""A database and an engine for each test."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.testing.choice import Choice
from shared.testing.engines import OtherLoop
from shared.testing.templates import Templates
from tests.kit.naive import Sessions, names_of
from tests.question.database import Animal

pytestmark = pytest.mark.dibs(database=["sqlite", "memory", "postgresql"])


@pytest.mark.parametrize("time", ["first", "second"])
async def test_nothing_of_a_test_is_there_in_the_next(dibs_sessions: Sessions, time: str) -> None:
    assert await names_of(dibs_sessions) == []
    async with dibs_sessions.begin() as session:
        session.add(Animal(name="Max"))
    assert await names_of(dibs_sessions) == ["Max"]


async def test_sessions_do_not_see_what_another_did_not_commit(dibs_sessions: Sessions, dibs_choice: Choice) -> None:
    async with dibs_sessions() as first, dibs_sessions() as second:
        first.add(Animal(name="Max"))
        await first.flush()
        if dibs_choice.database == "memory":
            with pytest.raises(DBAPIError, match="locked"):  # a shared cache has locks where a file has versions
                await second.scalar(text("SELECT count(*) FROM animals"))
        else:
            assert await second.scalar(text("SELECT count(*) FROM animals")) == 0
        await second.rollback()
        await first.commit()
        assert await second.scalar(text("SELECT count(*) FROM animals")) == 1


async def test_a_released_savepoint_goes_with_its_transaction(dibs_sessions: Sessions) -> None:
    async with dibs_sessions() as session:
        async with session.begin_nested():
            session.add(Animal(name="Max"))
        await session.rollback()
    assert await names_of(dibs_sessions) == []


async def test_what_is_held_does_not_keep_the_database(dibs_engine: AsyncEngine) -> None:
    connection = await dibs_engine.connect()
    await connection.execute(text("SELECT 1"))  # never closed: the fixture has to drop its database all the same


@pytest.mark.dibs(database="sqlite")
async def test_foreign_keys_are_on(dibs_engine: AsyncEngine) -> None:
    async with dibs_engine.connect() as connection:
        assert await connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert await connection.scalar(text("PRAGMA journal_mode")) == "wal"


@pytest.mark.dibs(database="sqlite")
async def test_a_test_may_have_more_databases(dibs_url: str, dibs_templates: Templates) -> None:
    with dibs_templates.clone("sqlite") as other:
        assert other != dibs_url
        path = other.removeprefix("sqlite+aiosqlite:///")
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM animals").fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(f"file:{path}?mode=rw", uri=True)


@pytest.mark.dibs(database="sqlite")
def test_another_loop_is_told(dibs_engine: AsyncEngine) -> None:
    async def connect() -> None:
        async with dibs_engine.connect():
            pass

    with pytest.raises(OtherLoop, match="asyncio_default_fixture_loop_scope"):
        asyncio.run(connect())
