"""A database on an engine that somebody else has made, uses beside us and closes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import Database, limit_transactions, open_database
from shared.settings import SettingsError

ISOLATION = "READ COMMITTED"
"""What the claim is written for; an engine in autocommit would tear a row from its receipt."""

WANTED = "dibs works on an engine of postgresql+asyncpg or of sqlite+aiosqlite with a file"


@asynccontextmanager
async def borrowed(engine: AsyncEngine, *, pool_size: int) -> AsyncIterator[Database]:
    """The database of `engine`, which is left open and as it is.

    PostgreSQL: its pool is shared; isolation level and limits are those of our transactions alone. SQLite: connections
    of our own to the same file, for they must begin their transactions as no ordinary engine does; at most
    `pool_size` of them, closed at the end.
    """
    if engine.dialect.name == "postgresql":
        reader = engine.execution_options(isolation_level=ISOLATION)
        writer = engine.execution_options(isolation_level=ISOLATION)
        limit_transactions(writer)
        yield Database(reader, writer)
        return
    own = open_database(address_of(engine), pool_size=pool_size)
    try:
        yield own
    finally:
        await own.close()


def address_of(engine: AsyncEngine) -> str:
    """The URL that `engine` was made with; raises `SettingsError` where dibs cannot work on such an engine."""
    url = engine.url
    if (engine.dialect.name, engine.dialect.driver) not in {("postgresql", "asyncpg"), ("sqlite", "aiosqlite")}:
        raise SettingsError(f"{WANTED}, not of {url.drivername}")
    address = url.render_as_string(hide_password=False)
    if engine.dialect.name == "sqlite" and (
        url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory"
    ):
        raise SettingsError(f"{WANTED}: one in memory is one connection")
    return address
