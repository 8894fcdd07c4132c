"""The fixtures. Each docstring is its documentation: `pytest --fixtures` shows them.

What they need is imported when a test asks for them: this module is loaded by every pytest run of an environment
with dibs and pytest-asyncio, and SQLAlchemy, asyncpg, FastAPI, arq and fakeredis together take half a second.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from shared.testing.choice import MARKER, Choice, choices, postgres_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import httpx
    from arq.connections import ArqRedis
    from fastapi import FastAPI
    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

    from shared.testing.clock import Clock
    from shared.testing.faults import Faults
    from shared.testing.points import Points
    from shared.testing.queue import ArqQueue
    from shared.testing.sent import Sent
    from shared.testing.servers import Servers
    from shared.testing.templates import Migrate, Templates


def _override(name: str, example: str) -> pytest.UsageError:
    return pytest.UsageError(
        f"the test kit of dibs needs to know: override {name} in your conftest.py, as in {example}"
    )


# What a project overrides in its conftest.py.


@pytest.fixture
def dibs_metadata() -> MetaData:
    """Override: the `MetaData` of your models, whose tables are created once for the session."""
    raise _override("dibs_metadata", "`return Base.metadata`")


@pytest.fixture
def dibs_migrate(request: pytest.FixtureRequest) -> Migrate:
    """Override, with scope="session": a callable that brings the empty database at a URL to your schema.

    Synchronous (Alembic's `command.upgrade`; it runs in a thread) or not, and called once for each kind of database.
    Without it the tables of `dibs_metadata` are created.
    """
    from shared.testing.templates import create_all

    return create_all(request.getfixturevalue("dibs_metadata"))


@pytest.fixture(scope="session")
def dibs_engine_options() -> Mapping[str, Any]:
    """Override: what your application gives to `create_async_engine` besides the URL."""
    return {}


@pytest.fixture
def dibs_app() -> FastAPI:
    """Override: your FastAPI application."""
    raise _override("dibs_app", "`return app`")


@pytest.fixture
def dibs_session_dependency() -> Callable[..., Any] | None:
    """Override: the dependency by which routes get their session; None where they do not get it by one."""
    raise _override("dibs_session_dependency", "`return get_session`")


@pytest.fixture
def dibs_worker_settings() -> Mapping[str, Any] | type:
    """Override: your arq `WorkerSettings`, or a dict of arguments of arq's `Worker`, with `functions` at least.

    What its `on_startup` would open for production, such as an engine, belongs into `ctx` instead.
    """
    raise _override("dibs_worker_settings", '`return {"functions": [add], "ctx": {"sessions": dibs_sessions}}`')


# What tests use.


@pytest.fixture
def dibs_choice(request: pytest.FixtureRequest) -> Choice:
    """The database and the mode on which this test runs.

    Said by `@pytest.mark.dibs(database=…, mode=…)`, else by `--dibs-database` and `--dibs-mode`, else by
    `dibs_database` and `dibs_mode` in pytest's configuration, else SQLite and an engine for each test. With several
    of them the test runs on each.
    """
    given = getattr(request, "param", None)
    return given or choices(request.config, request.node.get_closest_marker(MARKER))[0]


@pytest.fixture(scope="session")
def dibs_servers(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Servers]:
    """The session's PostgreSQL, started when it is first needed: `dibs_servers.postgres`."""
    from shared.testing.servers import Servers

    servers = Servers(tmp_path_factory.mktemp("dibs"), postgres_url(request.config))
    yield servers
    servers.close()


@pytest.fixture
def dibs_templates(dibs_servers: Servers, dibs_migrate: Migrate) -> Templates:
    """Makes databases with your schema: `with dibs_templates.clone("postgresql") as url`. Each is dropped again."""
    return dibs_servers.templates(dibs_migrate)


@pytest.fixture
def dibs_url(dibs_choice: Choice, dibs_templates: Templates) -> Iterator[str]:
    """The URL of the test's database, for code that opens its own engine. Not there in the fast mode."""
    if dibs_choice.mode == "fast":
        from shared.testing.fast import NotInFastMode

        raise NotInFastMode('who connects by URL does not see the transaction: mark the test with dibs(mode="engine")')
    with dibs_templates.clone(dibs_choice.database) as url:
        yield url


@pytest_asyncio.fixture
async def dibs_engine(
    dibs_choice: Choice,
    dibs_templates: Templates,
    dibs_engine_options: Mapping[str, Any],
    request: pytest.FixtureRequest,
) -> AsyncIterator[AsyncEngine]:
    """The test's engine. Whatever the code under test commits by it is gone when the test is over.

    In the mode "engine" it has a database of its own, and as many connections as the code likes. In the mode "fast"
    it has one connection of the session's, with a transaction around the test: quicker, and two
    sessions at once raise `TwoAtOnce`, which says where both were opened.
    """
    from shared.testing.engines import opened_engine
    from shared.testing.leaks import check_connections

    if dibs_choice.mode == "fast":
        context = dibs_templates.fast(dibs_choice.database, dibs_engine_options).transaction()
    else:
        context = opened_engine(request.getfixturevalue("dibs_url"), dibs_engine_options)
    async with context as (engine, held):
        yield engine
        if "dibs_leaks" in request.fixturenames:
            check_connections(held)


@pytest.fixture
def dibs_sessions(dibs_engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """The factory of sessions on `dibs_engine`; take one for each unit of work, as the application does.

    There is no fixture that is a session, on purpose: one that the test and a route share is how the rollback of the
    one closes the transaction of the other.
    """
    from sqlalchemy.ext.asyncio import async_sessionmaker

    return async_sessionmaker(dibs_engine, expire_on_commit=False)


@pytest_asyncio.fixture
async def dibs_client(
    dibs_app: FastAPI,
    dibs_session_dependency: Callable[..., Any] | None,
    dibs_sessions: async_sessionmaker[AsyncSession],
    request: pytest.FixtureRequest,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `dibs_app` in this process. Each request gets a session of its own from `dibs_sessions`.

    The dependency is overridden for this test only. The application's lifespan is run with
    `@pytest.mark.dibs(lifespan=True)`.
    """
    from shared.testing.client import opened_client

    marker = request.node.get_closest_marker(MARKER)
    lifespan = bool(marker and marker.kwargs.get("lifespan"))
    async with opened_client(dibs_app, dibs_session_dependency, dibs_sessions, lifespan=lifespan) as client:
        yield client


@pytest_asyncio.fixture
async def dibs_redis(request: pytest.FixtureRequest) -> AsyncIterator[ArqRedis]:
    """An empty Redis in memory (fakeredis, scripts in Lua included), as a client with arq's `enqueue_job`."""
    from shared.testing.leaks import check_keys
    from shared.testing.queue import make_redis

    redis = make_redis()
    yield redis
    if "dibs_leaks" in request.fixturenames:
        await check_keys(redis)
    await redis.aclose(close_connection_pool=True)


@pytest_asyncio.fixture
async def dibs_queue(
    dibs_redis: ArqRedis, dibs_worker_settings: Mapping[str, Any] | type, dibs_clock: Clock
) -> AsyncIterator[ArqQueue]:
    """The queue of `dibs_redis` and the real arq worker of `dibs_worker_settings` on it.

    `await dibs_queue.work_all()` runs all that is due, `drain(at_most=N)` what is due later as well,
    `assert_enqueued` says what must be in it. Nothing sleeps, and no worker runs unless it is told to.
    """
    from shared.testing.queue import ArqQueue

    queue = ArqQueue(dibs_redis, dibs_worker_settings, dibs_clock)
    yield queue
    await queue.close()


@pytest.fixture
def dibs_clock() -> Iterator[Clock]:
    """Moves the time: after `dibs_clock.move(seconds=30)` delayed jobs are due, leases expire, sleepers wake.

    It is the time of this process: `time.time`, `datetime.now`, fakeredis and the timers of asyncio's own loop.
    """
    from shared.testing.clock import Clock

    clock = Clock()
    yield clock
    clock.stop()


@pytest.fixture
def dibs_points() -> Iterator[Points]:
    """Lets jobs meet, holds them, kills them at named points: `dibs_points.kill("after commit")`.

    The points are those of every session and connection in the process. What was prepared and did not happen fails
    the test.
    """
    from shared.testing.points import Points

    points = Points()
    with points.listening():
        yield points
    points.check()


@pytest.fixture
def dibs_faults() -> Iterator[Faults]:
    """Lets the database fail: `dibs_faults.next_flush("deadlock")`.

    Faults are "deadlock", "serialization failure", "lock timeout", "taken name" and "lost connection", on any
    session, as the driver raises them. One that was prepared and not met fails the test.
    """
    from shared.testing.faults import Faults

    faults = Faults()
    with faults.listening():
        yield faults
    faults.check()


@pytest_asyncio.fixture
async def dibs_sent(dibs_choice: Choice, dibs_engine: AsyncEngine) -> AsyncIterator[Sent]:
    """What the driver really sent to the database, `BEGIN` and `ROLLBACK` included: `dibs_sent.outline`."""
    from shared.testing.sent import Sent

    sent = Sent()
    listening = sent.listening_to(dibs_engine) if dibs_choice.mode == "fast" else AsyncExitStack()
    async with listening:
        with sent.listening():
            yield sent


@pytest_asyncio.fixture
async def dibs_leaks() -> AsyncIterator[None]:
    """Fails a test that leaves something: connections and their transactions, keys without a TTL, running tasks.

    On request: `@pytest.mark.usefixtures("dibs_leaks")`, or `usefixtures = dibs_leaks` in pytest's configuration.
    Connections are those of `dibs_engine`, keys those of `dibs_redis`, tasks those of the loop.
    """
    from shared.testing.leaks import check_tasks, running_tasks

    before = running_tasks()
    yield
    await check_tasks(before)
