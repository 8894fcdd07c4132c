"""PostgreSQL and Redis as a user would run them, durable, and a fresh pair of databases for each run."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import asyncpg
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from shared.migrate import migrate
from tests.benchmarks.stage import Stage
from tests.services import PrivatePostgres, PrivateRedis

Fsync = Literal["always", "everysec"]

TEMPLATE = "bench_template"

# Everything that the tests switch off for speed is on again, as a fresh PostgreSQL has it. The commit
# timestamps are the clock of every measure: exact, the same for all, and nobody has to poll for them.
DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "deadlock_timeout": "1s",
    "shared_buffers": "128MB",
    "track_commit_timestamp": "on",
}


def plain(url: str) -> str:
    """SQLAlchemy's address of a database as asyncpg takes it."""
    return url.replace("postgresql+asyncpg://", "postgresql://")


class DurableRedis(PrivateRedis):
    """Append-only file on; `appendfsync` is what its user's documentation recommends, or Redis's own default."""

    def __init__(self, appendfsync: Fsync) -> None:
        super().__init__()
        self.appendfsync = appendfsync

    def start(self) -> None:
        super().start()
        with contextlib.closing(SyncRedis(port=self.port)) as redis:
            redis.config_set("appendfsync", self.appendfsync)


class Ground:
    """One PostgreSQL for the whole run; each `stage` brings a database and a Redis of its own."""

    def __init__(self, postgres: PrivatePostgres, admin: "asyncpg.Connection[Any]") -> None:
        self._postgres = postgres
        self._admin = admin
        self._made = 0
        self.versions: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def stage(self, appendfsync: Fsync = "always") -> AsyncIterator[Stage]:
        with DurableRedis(appendfsync) as redis:
            async with self.stage_on(redis) as stage:
                yield stage

    @contextlib.asynccontextmanager
    async def stage_on(self, redis: DurableRedis) -> AsyncIterator[Stage]:
        """A fresh database beside a Redis that stays as it was."""
        self._made += 1
        name = f"bench_{self._made}"
        await self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        url = self._postgres.url(name)
        sql, client = await asyncpg.connect(plain(url)), Redis.from_url(redis.url())
        try:
            yield Stage(url, redis.url(), sql, client)
        finally:
            await client.aclose()
            await sql.close()
            await self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def _postgres() -> Iterator[PrivatePostgres]:
    with PrivatePostgres(on_disk=True) as postgres:
        yield postgres


@contextlib.asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Start PostgreSQL, durable, with a migrated database to copy from."""
    with _postgres() as postgres:
        admin = await asyncpg.connect(plain(postgres.url()))
        for name, value in DURABLE.items():
            await admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await admin.close()
        postgres.stop()
        postgres.start()
        admin = await asyncpg.connect(plain(postgres.url()))
        try:
            await admin.execute(f"CREATE DATABASE {TEMPLATE}")
            await migrate(postgres.url(TEMPLATE), [])
            made = Ground(postgres, admin)
            made.versions["PostgreSQL"] = str(await admin.fetchval("SHOW server_version")).split(" ")[0]
            with DurableRedis("always") as redis, contextlib.closing(SyncRedis(port=redis.port)) as client:
                made.versions["Redis"] = str(client.info("server")["redis_version"])  # type: ignore[index]  # redis types its commands for both its faces at once
            yield made
        finally:
            await admin.close()
