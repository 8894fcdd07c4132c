"""The schema: dibs's own tables by Alembic, and those of the collections where they are missing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, func, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import Database, open_database
from shared.models import Base

log = logging.getLogger(__name__)

MIGRATION_LOCK = int.from_bytes(b"dibs")

LOCK_NOT_AVAILABLE = "55P03"
LOCK_TRIES = 30
STEP_BACK_S = 0.5

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "dibs_alembic_version"
"""Its own, so that an application with migrations by Alembic can live in the same database."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, running on `connection`."""
    made = Config()
    made.set_main_option("script_location", str(SCRIPTS))
    made.attributes["connection"] = connection
    return made


def head() -> str | None:
    return ScriptDirectory.from_config(config()).get_current_head()


async def migrate(url: str, tables: Iterable[Table] = (), *, revision: str = "head") -> None:
    """Bring the database at `url` to `revision`, then create those of `tables` that are not there.

    A table that exists is left as it is: to change it is its owner's migration. Workers may go on meanwhile: where a
    change has to wait for them for long, it steps back and tries again, so that nobody queues behind it.
    """
    # One connection migrates, the other says on PostgreSQL that somebody does. An index may take its time.
    database = open_database(url, pool_size=2, statement_timeout_s=None)
    try:
        await migrate_database(database, tables, revision=revision)
    finally:
        await database.close()


async def migrate_database(database: Database, tables: Iterable[Table] = (), *, revision: str = "head") -> None:
    """As `migrate`, on two connections of `database`, whose statements must be allowed to take their time."""
    async with _alone(database.writer):
        for tries_left in reversed(range(LOCK_TRIES)):
            try:
                await _migrate(database.writer, tables, revision)
            except DBAPIError as error:
                if not tries_left or getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                    raise
            else:
                return
            log.warning("another transaction holds a lock on the tables; trying again")
            await asyncio.sleep(STEP_BACK_S)


async def _migrate(engine: AsyncEngine, tables: Iterable[Table], revision: str) -> None:
    async with engine.connect() as connection:
        if not _is_postgresql(engine):
            await connection.begin()
        # On PostgreSQL each migration begins and commits by itself.
        await connection.run_sync(_run, revision)
        for table in tables:
            await connection.run_sync(table.metadata.create_all, tables=[table, *_parents(table)])
        await connection.commit()


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[None]:
    """Two that migrate at once go one after the other; SQLite's writers do so anyway.

    The lock is one of a transaction, which a pooler leaves on its connection. An index that is built beside the
    writers waits for every transaction with an older snapshot; so the lock is asked for again and again, each time in
    a transaction of its own, rather than waited for.
    """
    if not _is_postgresql(engine):
        yield
        return
    try_lock = select(func.pg_try_advisory_xact_lock(MIGRATION_LOCK))
    while True:
        async with engine.begin() as connection:
            if (await connection.execute(try_lock)).scalar_one():
                # A query leaves its snapshot in use until the next statement, and this one needs none.
                await connection.execute(text("SAVEPOINT migrating"))
                yield
                return
        await asyncio.sleep(STEP_BACK_S)


def _is_postgresql(engine: AsyncEngine) -> bool:
    return engine.dialect.name == "postgresql"


async def is_current(engine: AsyncEngine, tables: Iterable[Table] = ()) -> bool:
    """Whether the schema is the one that this code was written for, or a later one, and `tables` are there.

    Migrations go first in a rolling deploy, so the old code must live with the new schema for a while.
    """
    async with engine.connect() as connection:
        current = await connection.run_sync(revision_of)
        there = await connection.run_sync(_has_tables, [*Base.metadata.tables.values(), *tables])
    return there and current is not None and current not in await asyncio.to_thread(_outdated)


def _has_tables(connection: Connection, tables: Iterable[Table]) -> bool:
    inspector = inspect(connection)
    return all(inspector.has_table(table.name, table.schema) for table in tables)


@cache
def _outdated() -> frozenset[str]:
    """The revisions that came before the newest that this code knows. To read them takes longer than to ask for one."""
    scripts = ScriptDirectory.from_config(config())
    return frozenset(script.revision for script in scripts.walk_revisions()) - {scripts.get_current_head()}


def _run(connection: Connection, revision: str) -> None:
    move = command.downgrade if revision == "base" or revision.startswith("-") else command.upgrade
    move(config(connection), revision)


def revision_of(connection: Connection) -> str | None:
    """The revision that the database is at; None where nothing was migrated yet."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _parents(table: Table) -> list[Table]:
    """The tables that `table` refers to, and those that they refer to."""
    found: dict[str, Table] = {}
    open_tables = [table]
    while open_tables:
        for constraint in open_tables.pop().foreign_key_constraints:
            parent = constraint.referred_table
            if parent.key not in found and parent is not table:
                found[parent.key] = parent
                open_tables.append(parent)
    return list(found.values())
