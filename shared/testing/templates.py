"""Databases that were migrated once for the session, and copies of them."""

import asyncio
import inspect
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import MetaData, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from shared.testing.choice import DatabaseName
from shared.testing.fast import FastDatabase
from shared.testing.sqlite import prepare_sqlite

if TYPE_CHECKING:
    from shared.testing.servers import Servers

Migrate = Callable[[str], Awaitable[None] | None]
"""Brings the empty database at a URL to the schema of the tests."""


@dataclass(frozen=True, eq=True)
class CreateAll:
    """A `Migrate` that creates the tables of some metadata; equal for the same ones."""

    metadata: tuple[MetaData, ...]

    async def __call__(self, url: str) -> None:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.begin() as connection:
            for one in self.metadata:
                await connection.run_sync(one.create_all)
        await engine.dispose()


def create_all(*metadata: MetaData) -> Migrate:
    """A `Migrate` that creates the tables of `metadata`."""
    return CreateAll(metadata)


class Templates:
    """Makes databases of one schema, quickly: each is a copy of one that was migrated when it was first asked for."""

    def __init__(self, servers: "Servers", migrate: Migrate) -> None:
        self._servers = servers
        self._migrate = migrate
        self._fast: dict[str, FastDatabase] = {}

    @contextmanager
    def clone(self, database: DatabaseName) -> Iterator[str]:
        """The URL of a fresh copy, which is dropped at the end."""
        make = {"sqlite": self._file, "memory": self._memory, "postgresql": self._postgres}[database]
        with make() as url:
            yield url

    def fast(self, database: DatabaseName, options: Mapping[str, Any]) -> FastDatabase:
        """A copy with one connection, for all tests of the session that want it with these options of an engine."""
        key = f"{database} {sorted(options.items())}"
        if key not in self._fast:
            backstage, stack = self._servers.backstage, self._servers.stack
            made = FastDatabase(stack.enter_context(self.clone(database)), options, backstage)
            stack.callback(lambda: backstage.run(made.close()))
            self._fast[key] = made
        return self._fast[key]

    @cached_property
    def _postgres_template(self) -> str:
        name = f"dibs_template_{uuid4().hex}"
        self._servers.sql(f"CREATE DATABASE {name}")
        self._servers.stack.callback(self._servers.sql, f"DROP DATABASE {name} WITH (FORCE)")
        self._migrated(self._url_of(name))
        return name

    @cached_property
    def _copy(self) -> str:
        """Since PostgreSQL 15 a copy is logged page by page unless told otherwise; files are quicker without fsync."""
        return " STRATEGY file_copy" if self._servers.has_copy_strategies else ""

    @contextmanager
    def _postgres(self) -> Iterator[str]:
        name = f"dibs_{uuid4().hex}"
        template = self._postgres_template
        self._servers.sql(f"CREATE DATABASE {name} TEMPLATE {template}{self._copy}")
        try:
            yield self._url_of(name)
        finally:
            self._servers.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _url_of(self, database: str) -> str:
        return self._servers.postgres_url.set(database=database).render_as_string(hide_password=False)

    @cached_property
    def _sqlite_template(self) -> Path:
        path = self._servers.directory / f"template-{uuid4().hex}.db"
        prepare_sqlite(path)
        self._migrated(f"sqlite+aiosqlite:///{path}")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path

    @contextmanager
    def _file(self) -> Iterator[str]:
        path = self._servers.directory / f"{uuid4().hex}.db"
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
        self._servers.backstage.run(_call(self._migrate, url))


async def _call(migrate: Migrate, url: str) -> None:
    """In a thread where it is synchronous: it may well run a loop of its own, as Alembic's env.py does."""
    call = getattr(migrate, "__call__", migrate)  # noqa: B004  # an object with an asynchronous __call__ is one too
    if inspect.iscoroutinefunction(migrate) or inspect.iscoroutinefunction(call):
        done = migrate(url)
    else:
        done = await asyncio.to_thread(migrate, url)
    if done is not None:
        await done
