"""Migrations on every database: up, down, up again, and what they make is what the models say."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Table, inspect, text

from shared.database import Database, open_database
from shared.migrate import VERSION_TABLE, is_current, migrate
from shared.models import Base
from tests.build import HANDLES
from tests.conftest import ask
from tests.services import PrivatePostgres


@pytest.fixture
def empty_sqlite(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/empty.db"


@pytest.fixture
async def empty_postgresql(postgres_server: PrivatePostgres) -> AsyncIterator[str]:
    name = f"empty_{uuid4().hex}"
    await ask(postgres_server.url(), f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    await ask(postgres_server.url(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.sqlite),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
    ]
)
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of each kind."""
    return str(request.getfixturevalue(f"empty_{request.param}"))


@pytest.fixture
async def empty(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.close()


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def tables_of(database: Database) -> set[str]:
    async with database.reader.connect() as connection:
        return await connection.run_sync(_tables)


def _differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "version_table": VERSION_TABLE}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


async def test_an_empty_database_is_not_current(empty: Database) -> None:
    assert not await is_current(empty.reader)


async def test_up_down_and_up_again(empty: Database, url: str) -> None:
    await migrate(url)
    assert await is_current(empty.reader)
    assert await tables_of(empty) == {"animals", "api_keys", "receipts", VERSION_TABLE}

    await migrate(url, revision="base")
    assert not await is_current(empty.reader)
    assert await tables_of(empty) == {VERSION_TABLE}

    await migrate(url)
    assert await is_current(empty.reader)
    assert await tables_of(empty) == {"animals", "api_keys", "receipts", VERSION_TABLE}


async def test_the_migrations_make_what_the_models_say(empty: Database, url: str) -> None:
    await migrate(url)
    async with empty.reader.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_the_constraints_have_the_names_that_the_models_give_them(empty: Database, url: str) -> None:
    await migrate(url)

    def names(connection: Connection) -> set[str | None]:
        found = inspect(connection)
        kinds = (found.get_unique_constraints, found.get_check_constraints)
        keys = [found.get_pk_constraint(t)["name"] for t in ("animals", "receipts")]
        return {c["name"] for t in ("animals", "receipts") for kind in kinds for c in kind(t)} | {*keys}

    async with empty.reader.connect() as connection:
        made = await connection.run_sync(names)
    assert made == {"pk_animals", "uq_animals_name", "pk_receipts", "ck_receipts_status"}


async def test_migrating_again_keeps_the_rows(empty: Database, url: str) -> None:
    await migrate(url)
    async with empty.writes.begin() as session:
        await session.execute(text("INSERT INTO animals (name) VALUES ('Max')"))

    await migrate(url)

    async with empty.reads() as session:
        assert (await session.execute(text("SELECT name FROM animals"))).scalars().all() == ["Max"]


async def test_two_that_migrate_at_once_both_succeed(empty: Database, url: str) -> None:
    await asyncio.gather(migrate(url, [HANDLES.table]), migrate(url, [HANDLES.table]))
    assert await is_current(empty.reader)


async def test_tables_of_collections_are_made_with_their_parents(empty: Database, url: str) -> None:
    await migrate(url, [HANDLES.table])
    assert {"handles", "tenants"} <= await tables_of(empty)


async def test_a_table_that_exists_is_left_as_it_is(empty: Database, url: str) -> None:
    async with empty.writes.begin() as session:
        await session.execute(text("CREATE TABLE tenants (name VARCHAR(50) PRIMARY KEY, colour VARCHAR(9))"))

    await migrate(url, [HANDLES.table])

    def columns(connection: Connection) -> list[str]:
        return [c["name"] for c in inspect(connection).get_columns("tenants")]

    async with empty.reader.connect() as connection:
        assert await connection.run_sync(columns) == ["name", "colour"]


async def test_an_application_with_migrations_of_its_own_is_left_alone(empty: Database, url: str) -> None:
    async with empty.writes.begin() as session:
        await session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        await session.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))

    await migrate(url)

    assert await is_current(empty.reader)
    async with empty.reads() as session:
        assert (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one() == "theirs"


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=lambda table: table.name)
def test_every_constraint_has_a_name(table: Table) -> None:
    assert all(re.match("(pk|uq|ck|fk)_", str(c.name)) for c in table.constraints)
