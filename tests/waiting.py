"""Wait for what no event tells of, and hold what others then wait for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import Database, open_database
from tests.build import ANIMALS

PATIENCE_S = 20.0
LOOK_EVERY_S = 0.005


async def until(holds: Callable[[], Awaitable[Any]], patience_s: float = PATIENCE_S) -> None:
    """Return as soon as `holds`; raises `TimeoutError`."""
    async with asyncio.timeout(patience_s):
        while not await holds():  # noqa: ASYNC110  # it is for what no event tells of
            await asyncio.sleep(LOOK_EVERY_S)


async def until_blocked(database: Database, sessions: int = 1) -> None:
    """Return as soon as statements of so many sessions wait for a lock; PostgreSQL only."""
    waiters = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")

    async def is_blocked() -> bool:
        async with database.reads() as session:
            return len((await session.execute(waiters)).all()) >= sessions

    await until(is_blocked)


@asynccontextmanager
async def held_name(database: Database, name: str) -> AsyncIterator[AsyncSession]:
    """An animal that is inserted and not committed: whoever wants it waits, or on SQLite whoever writes at all."""
    async with database.writes() as session, session.begin() as transaction:
        await session.execute(insert(ANIMALS.table), [{"name": name}])
        yield session
        if transaction.is_active:
            await transaction.rollback()


@asynccontextmanager
async def impatient(url: str) -> AsyncIterator[Database]:
    """The database at `url` for somebody who waits for a lock a moment only."""
    database = open_database(url)
    is_sqlite = database.writer.dialect.name == "sqlite"

    @event.listens_for(database.writer.sync_engine, "connect")
    def _configure(connection: Any, _entry: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 20" if is_sqlite else "SET lock_timeout = '20ms'")
        cursor.close()
        connection.commit()

    try:
        yield database
    finally:
        await database.close()
