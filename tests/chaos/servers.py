"""PostgreSQL and Redis as they should be run, durable, and killed as nobody should."""

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from shared.migrate import migrate
from tests.benchmarks.servers import DURABLE, plain
from tests.services import PrivatePostgres, PrivateRedis


@contextlib.asynccontextmanager
async def durable_servers() -> AsyncIterator[tuple[PrivatePostgres, PrivateRedis]]:
    """Both with every commit and every write on disk; the database is migrated."""
    with PrivatePostgres() as postgres, PrivateRedis() as redis:
        admin = await asyncpg.connect(plain(postgres.url()))
        for name, value in DURABLE.items():
            await admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await admin.close()
        postgres.stop()
        postgres.start()
        await migrate(postgres.url())
        yield postgres, redis
