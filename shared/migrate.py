"""The schema: dibs's own tables by Alembic, and those of the collections where they are missing."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import open_database
from shared.models import Base

MIGRATION_LOCK = int.from_bytes(b"dibs")

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

    A table that exists is left as it is: to change it is its owner's migration.
    """
    database = open_database(url, pool_size=1)
    try:
        async with database.writer.begin() as connection:
            await connection.run_sync(_run, revision)
            for table in tables:
                await connection.run_sync(table.metadata.create_all, tables=[table, *_parents(table)])
    finally:
        await database.close()


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


def _outdated() -> set[str]:
    """The revisions that came before the newest that this code knows."""
    scripts = ScriptDirectory.from_config(config())
    return {script.revision for script in scripts.walk_revisions()} - {head() or ""}


def _run(connection: Connection, revision: str) -> None:
    if connection.dialect.name == "postgresql":
        # Two that migrate at once go one after the other; SQLite's writers do so anyway.
        connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
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
