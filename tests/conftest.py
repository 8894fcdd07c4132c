"""The servers, once for each session, and a fresh database and queue for each test that asks."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.database import Database, open_database
from shared.migrate import migrate
from shared.queue import Queue
from shared.redis import open_redis
from tests.build import HANDLES, make_fake_redis
from tests.services import PrivatePostgres, PrivateRedis

TEMPLATE = "dibs_template"
QUEUE_LIMIT = 10_000


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: takes the whole machine, and runs only when it is asked for: -m chaos")
    for name in ("sqlite", "postgresql"):
        config.addinivalue_line("markers", f"{name}: runs on {name}")


async def ask(url: str, statement: str) -> None:
    """One statement outside of any transaction, as CREATE DATABASE wants it."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PrivatePostgres]:
    """The session's cluster. A test that stops its server starts a `PrivatePostgres` of its own."""
    with PrivatePostgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PrivatePostgres) -> str:
    asyncio.run(ask(postgres_server.url(), f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(migrate(postgres_server.url(TEMPLATE), [HANDLES.table]))
    return TEMPLATE


@pytest.fixture
async def postgresql_url(postgres_server: PrivatePostgres, postgres_template: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{uuid4().hex}"
    await ask(postgres_server.url(), f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield postgres_server.url(name)
    await ask(postgres_server.url(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(migrate(f"sqlite+aiosqlite:///{path}", [HANDLES.table]))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated file of the test's own."""
    data = tmp_path / "data"
    data.mkdir()
    return f"sqlite+aiosqlite:///{shutil.copy(sqlite_template, data / 'dibs.db')}"


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.sqlite),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
    ]
)
def database_url(request: pytest.FixtureRequest) -> str:
    """Every database in turn, migrated and of the test's own."""
    return str(request.getfixturevalue(f"{request.param}_url"))


async def _opened(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async for opened in _opened(database_url):
        yield opened


@pytest.fixture
async def sqlite_database(sqlite_url: str) -> AsyncIterator[Database]:
    async for opened in _opened(sqlite_url):
        yield opened


@pytest.fixture
async def postgresql_database(postgresql_url: str) -> AsyncIterator[Database]:
    async for opened in _opened(postgresql_url):
        yield opened


@pytest.fixture(scope="session")
def redis_server() -> Iterator[PrivateRedis]:
    """The session's Redis. A test that stops its server starts a `PrivateRedis` of its own."""
    with PrivateRedis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_databases() -> Iterator[int]:
    """Numbers of logical databases that nobody has used yet."""
    return itertools.count(1)


@pytest.fixture
def redis_url(redis_server: PrivateRedis, redis_databases: Iterator[int]) -> str:
    """A logical database of the test's own."""
    return redis_server.url(next(redis_databases))


@pytest.fixture
async def real_redis(redis_url: str) -> AsyncIterator[Redis]:
    redis = open_redis(redis_url)
    yield redis
    await redis.aclose(close_connection_pool=True)


@pytest.fixture
async def fake_redis() -> AsyncIterator[Redis]:
    redis = make_fake_redis()
    yield redis
    await redis.aclose(close_connection_pool=True)


@pytest.fixture
def redis_queue(real_redis: Redis) -> Queue:
    # Channels are shared by all logical databases, so the name is the test's own too.
    return Queue(real_redis, f"test-{uuid4().hex}", limit=QUEUE_LIMIT)


@pytest.fixture
def fake_queue(fake_redis: Redis) -> Queue:
    return Queue(fake_redis, "test", limit=QUEUE_LIMIT)


@pytest.fixture(params=["fake", "redis"])
def queue(request: pytest.FixtureRequest) -> Queue:
    """A queue on fakeredis and on a real Redis in turn."""
    made = request.getfixturevalue(f"{request.param}_queue")
    assert isinstance(made, Queue)
    return made
