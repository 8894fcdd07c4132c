"""What dibs's own tests start from: the kit's databases with dibs's schema, opened as dibs opens them, and queues."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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
from shared.testing.postgres_server import PrivatePostgres
from shared.testing.redis_server import PrivateRedis
from shared.testing.servers import Servers
from shared.testing.templates import Templates
from tests.build import HANDLES, make_fake_redis

QUEUE_LIMIT = 10_000

TESTS = Path(__file__).parent
SLOW = ("benchmarks", "docs", "face", "faults", "fuzz", "kit/test_wheel.py", "page")
"""What starts processes, browsers or fuzzers for each test, or waits for real time (docs/decisions/0018)."""
MIXED = ({"sqlite", "redis"}, {"postgresql", "fake"})
"""Of the pairs of a database and a queue two are enough for each to have its turn; these are the others."""

pytest_plugins = ["pytester"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "chaos: takes the whole machine, and runs only when it is asked for: -m chaos")
    config.addinivalue_line("markers", "slow: left out of a developer's run: pytest -m 'not chaos' runs it as well")
    for name in ("sqlite", "postgresql"):
        config.addinivalue_line("markers", f"{name}: runs on {name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = [TESTS / place for place in SLOW]
    for item in items:
        if any(item.path.is_relative_to(place) for place in slow) or _is_mixed(item):
            item.add_marker("slow")


def _is_mixed(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and {call.params.get("database_url"), call.params.get("queue")} in MIXED


async def ask(url: str, statement: str) -> None:
    """One statement outside of any transaction, as CREATE DATABASE wants it."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


@pytest.fixture(scope="session")
def dibs_migrate() -> Callable[[str], Awaitable[None]]:
    """dibs's migrations, and an adopter's collection beside them."""

    async def to_head(url: str) -> None:
        await migrate(url, [HANDLES.table])

    return to_head


@pytest.fixture(scope="session")
def postgres_server(dibs_servers: Servers) -> PrivatePostgres:
    """The session's cluster. A test that stops its server starts a `PrivatePostgres` of its own."""
    return dibs_servers.postgres


@pytest.fixture
def postgresql_url(dibs_templates: Templates) -> Iterator[str]:
    """A migrated database of the test's own."""
    with dibs_templates.clone("postgresql") as url:
        yield url


@pytest.fixture
def sqlite_url(dibs_templates: Templates) -> Iterator[str]:
    """A migrated file of the test's own."""
    with dibs_templates.clone("sqlite") as url:
        yield url


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
