"""The database: does it answer, is it set up for dibs, is its schema the one that this code needs."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Inspector, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dibs.doctor.findings import Finding, fail, ok, warn
from dibs.doctor.of_redis import Examined
from shared.collections import Collection
from shared.database import Database
from shared.faults import sort_fault
from shared.migrate import head, is_current, revision_of

PATIENCE_S = 10.0
OLDEST_POSTGRESQL = 13

_SETTINGS = ("server_version", "server_version_num", "server_encoding", "fsync", "synchronous_commit")


async def examine(database: Database, name: str, collections: Iterable[Collection], *, is_embedded: bool) -> Examined:
    """Asks `database`; changes nothing in it."""
    mend = "start `dibs serve`, or run this where DIBS_DATA_DIR is" if is_embedded else "correct DIBS_DATABASE_URL"
    if not _is_there(database):
        # SQLite would make the file.
        return Examined(False, [fail("database", f"{name} is not there", mend)])
    try:
        async with asyncio.timeout(PATIENCE_S), database.reader.connect() as connection:
            found = [await _of_server(connection, name)]
            found.append(await _of_migrations(database, connection))
            inspected = await connection.run_sync(_inspected, list(collections))
    except Exception as error:  # noqa: BLE001  # whatever it was, it is what there is to tell
        fault = sort_fault(error)
        return Examined(False, [fail("database", f"{name} does not answer: {fault.code}: {fault.detail}", mend)])
    return Examined(True, found + inspected)


def _is_there(database: Database) -> bool:
    url = database.reader.url
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()


async def _of_server(connection: AsyncConnection, name: str) -> Finding:
    if connection.dialect.name == "sqlite":
        version = (await connection.execute(text("SELECT sqlite_version()"))).scalar_one()
        return ok("database", f"{name} answers, SQLite {version}")
    asked = ", ".join(f"current_setting('{setting}') AS {setting}" for setting in _SETTINGS)
    row = (await connection.execute(text(f"SELECT {asked}, pg_is_in_recovery() AS is_standby"))).one()  # our own words
    seen = f"{name} answers, PostgreSQL {row.server_version}, encoding {row.server_encoding}"
    if row.is_standby:
        return fail("database", f"{seen}, but it is a standby", "let DIBS_DATABASE_URL name the primary")
    if row.server_encoding != "UTF8":
        return fail("database", seen, "move to a database made with ENCODING 'UTF8': others cannot hold every text")
    if int(row.server_version_num) < OLDEST_POSTGRESQL * 10_000:
        return warn("database", seen, f"dibs is known to work from PostgreSQL {OLDEST_POSTGRESQL} on")
    return _of_commits(row, seen)


def _of_commits(row: Any, seen: str) -> Finding:
    for setting in ("fsync", "synchronous_commit"):
        if getattr(row, setting) == "off":
            mend = f"set {setting} on: a job whose commit is lost has lost its receipt and its row"
            return warn("database", f"{seen}, {setting} off", mend)
    return ok("database", seen)


async def _of_migrations(database: Database, connection: AsyncConnection) -> Finding:
    revision = await connection.run_sync(revision_of)
    if revision is None:
        return fail("migrations", "the database has none", "run `dibs migrate`")
    if not await is_current(database.reader):
        return fail("migrations", f"at {revision}; this dibs needs {head()}", "run `dibs migrate`")
    newer = "" if revision == head() else f", later than the {head()} of this dibs, which lives with it"
    return ok("migrations", f"at {revision}{newer}")


def _inspected(connection: Connection, collections: list[Collection]) -> list[Finding]:
    inspector = inspect(connection)
    return [_of_collection(inspector, collection) for collection in collections]


def _of_collection(inspector: Inspector, collection: Collection) -> Finding:
    about, table = "collection", collection.table
    if not inspector.has_table(table.name, table.schema):
        return fail(about, f"{collection.name} has no table", "run `dibs migrate`, which creates what is missing")
    there = {column["name"] for column in inspector.get_columns(table.name, table.schema)}
    if missing := sorted(set(table.columns.keys()) - there):
        return fail(
            about,
            f"{collection.name} lacks {', '.join(missing)}, which its model has",
            "alter the table by a migration of yours",
        )
    if frozenset(collection.key) not in _unique_keys(inspector, collection):
        key = ", ".join(collection.key)
        return fail(
            about,
            f"{collection.name} has no unique key over {key}: nothing can be added to it",
            f"ALTER TABLE {table.name} ADD UNIQUE ({key})",
        )
    return ok(about, f"{collection.name}, by {', '.join(collection.key)}")


def _unique_keys(inspector: Inspector, collection: Collection) -> set[frozenset[str | None]]:
    where = collection.table.name, collection.table.schema
    keys: list[Iterable[str | None]] = [inspector.get_pk_constraint(*where)["constrained_columns"]]
    keys += [unique["column_names"] for unique in inspector.get_unique_constraints(*where)]
    keys += [index["column_names"] for index in inspector.get_indexes(*where) if index["unique"]]
    return {frozenset(key) for key in keys}
