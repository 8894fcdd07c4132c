"""Databases that were migrated once for the session, and copies of them."""

import asyncio
import inspect
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import URL, MetaData, NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from shared.testing.backstage import Backstage
from shared.testing.choice import DatabaseName
from shared.testing.postgres_server import PrivatePostgres
from shared.testing.sqlite import prepare_sqlite

Migrate = Callable[[str], Awaitable[None] | None]
"""Brings the empty database at a URL to the schema of the tests."""


def create_all(*metadata: MetaData) -> Migrate:
    """A `Migrate` that creates the tables of `metadata`."""

    async def migrate(url: str) -> None:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.begin() as connection:
            for one in metadata:
                await connection.run_sync(one.create_all)
        await engine.dispose()

    return migrate


class Templates:
    """Makes databases of the same schema, quickly: each is a copy of one that was migrated when first asked for.

    Without a `postgres_url` a private cluster is started when PostgreSQL is first asked for; the test that asks is
    skipped where there are no programs for it.
    """

    def __init__(self, migrate: Migrate, directory: Path, postgres_url: str | None = None) -> None:
        self._migrate = migrate
        self._directory = directory
        self._given_url = postgres_url
        self._stack = ExitStack()
        self.backstage = self._stack.enter_context(_opened_backstage())

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def clone(self, database: DatabaseName) -> Iterator[str]:
        """The URL of a fresh copy, which is dropped at the end."""
        make = {"sqlite": self._file, "memory": self._memory, "postgresql": self._postgres}[database]
        with make() as url:
            yield url

    @cached_property
    def server(self) -> PrivatePostgres:
        """The private cluster of this session. Who stops it takes it away from all tests that follow."""
        return self._stack.enter_context(PrivatePostgres())

    @cached_property
    def server_url(self) -> URL:
        """A database of the server from which others can be created."""
        return make_url(self._given_url).set(drivername=PG) if self._given_url else make_url(self.server.url())

    def sql(self, statement: str) -> None:
        """Run `statement` on the server, outside of any transaction."""
        self.backstage.run(self._admin.execute(statement))

    @cached_property
    def _admin(self) -> Any:
        dsn = self.server_url.set(drivername="postgresql").render_as_string(hide_password=False)
        admin = self.backstage.run(asyncpg.connect(dsn))
        self._stack.callback(lambda: self.backstage.run(admin.close()))
        return admin

    @cached_property
    def _postgres_template(self) -> str:
        name = f"dibs_template_{uuid4().hex}"
        self.sql(f"CREATE DATABASE {name}")
        self._stack.callback(self.sql, f"DROP DATABASE {name} WITH (FORCE)")
        self._migrated(self._url_of(name))
        return name

    @cached_property
    def _copy(self) -> str:
        """Since PostgreSQL 15 a copy is logged page by page unless told otherwise; files are quicker without fsync."""
        return " STRATEGY file_copy" if self._admin.get_server_version() >= (15,) else ""

    @contextmanager
    def _postgres(self) -> Iterator[str]:
        name = f"dibs_{uuid4().hex}"
        template = self._postgres_template
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}{self._copy}")
        try:
            yield self._url_of(name)
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _url_of(self, database: str) -> str:
        return self.server_url.set(database=database).render_as_string(hide_password=False)

    @cached_property
    def _sqlite_template(self) -> Path:
        path = self._directory / "template.db"
        prepare_sqlite(path)
        self._migrated(f"sqlite+aiosqlite:///{path}")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path

    @contextmanager
    def _file(self) -> Iterator[str]:
        path = self._directory / f"{uuid4().hex}.db"
        shutil.copyfile(self._sqlite_template, path)
        try:
            yield f"sqlite+aiosqlite:///{path}"
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)

    @contextmanager
    def _memory(self) -> Iterator[str]:
        """An SQLite in memory lives as long as it has a connection: this one."""
        name = f"file:{uuid4().hex}?mode=memory&cache=shared"
        with (
            closing(sqlite3.connect(name, uri=True)) as anchor,
            closing(sqlite3.connect(self._sqlite_template)) as template,
        ):
            template.backup(anchor)
            yield f"sqlite+aiosqlite:///{name}&uri=true"

    def _migrated(self, url: str) -> None:
        self.backstage.run(_call(self._migrate, url))


PG = "postgresql+asyncpg"


async def _call(migrate: Migrate, url: str) -> None:
    """In a thread where it is synchronous: it may well run a loop of its own, as Alembic's env.py does."""
    if inspect.iscoroutinefunction(migrate):
        await migrate(url)
        return
    done = await asyncio.to_thread(migrate, url)
    if done is not None:
        await done


@contextmanager
def _opened_backstage() -> Iterator[Backstage]:
    backstage = Backstage()
    try:
        yield backstage
    finally:
        backstage.close()
