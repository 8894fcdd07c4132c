"""dibs in somebody else's application: on its engine, with its models, between its startup and its shutdown."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from structlog.contextvars import clear_contextvars, get_contextvars

from dibs import Exhausted, Refused, Succeeded
from dibs.errors import StartError
from dibs.guest import Guest, Settings, SettingsError
from shared.borrowing import borrowed
from shared.database import LOCK_TIMEOUT_S, Database, open_database
from shared.registry import CollectionError
from shared.scopes import Scope
from tests.build import add_tenants, make_settings, rows_of
from tests.keys import make_key
from tests.models import Handle

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An application's own, on each database in turn."""
    made = create_async_engine(database_url)
    yield made
    await made.dispose()


@pytest.fixture
async def sqlite_engine(sqlite_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(sqlite_url)
    yield made
    await made.dispose()


def make_guest(engine: AsyncEngine, redis: Redis, **settings: Any) -> Guest:
    return Guest(make_settings(models=(), **settings), engine=engine, redis=redis, models=[Handle])


@asynccontextmanager
async def asking(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as client,
    ):
        yield client


class Shop:
    """An application with a lifespan of its own, which notes what happens and whether dibs runs by then."""

    def __init__(self, guest: Guest, *, worker: bool = False) -> None:
        self.noted: list[tuple[str, bool]] = []
        self._guest = guest
        self.app = FastAPI(lifespan=self._lifespan)
        guest.mount(self.app, "/names", worker=worker)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[dict[str, str]]:
        self._note("starts")
        try:
            yield {"shop": "open"}
        finally:
            self._note("stops")

    def _note(self, what: str) -> None:
        self.noted.append((what, self._guest._app is not None))


async def test_it_starts_after_the_application_and_stops_before_it(
    sqlite_engine: AsyncEngine, fake_redis: Redis
) -> None:
    shop = Shop(make_guest(sqlite_engine, fake_redis))
    for _ in range(2):  # an application may be started again
        shop.noted.clear()
        async with shop.app.router.lifespan_context(shop.app) as state:
            transport = httpx.ASGITransport(shop.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
                assert (await client.get("/names/health/live")).json() == {"status": "live"}
            shop._note("runs")
        assert state == {"shop": "open"}
        assert shop.noted == [("starts", False), ("runs", True), ("stops", False)]


async def test_what_the_application_gave_is_left_open(engine: AsyncEngine, fake_redis: Redis) -> None:
    pool = engine.pool
    async with engine.connect() as connection:
        async with asking(Shop(make_guest(engine, fake_redis), worker=True).app) as client:
            assert (await client.get("/names/collections/handles")).status_code == 200
            assert (await client.post("/names/add", headers={"Prefer": "wait=20"})).status_code == 200
        assert await connection.scalar(text("SELECT name FROM animals")) == "Max"
    assert engine.pool is pool
    assert pool.checkedin() >= 1  # type: ignore[attr-defined]  # both databases have a pool that counts
    assert await fake_redis.ping()


async def test_an_application_whose_dibs_cannot_start_is_stopped_in_order(fake_redis: Redis, tmp_path: Any) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/empty.db", poolclass=NullPool)
    shop = Shop(make_guest(engine, fake_redis))
    with pytest.raises(StartError, match=r"lacks tables.*dibs migrate"):
        async with shop.app.router.lifespan_context(shop.app):
            raise AssertionError("it must not start")
    assert shop.noted == [("starts", False), ("stops", False)]
    await make_guest(engine, fake_redis).migrate()
    async with asking(shop.app) as client:
        assert (await client.get("/names/health/live")).status_code == 200


async def test_it_migrates_by_the_engine_of_the_application(
    postgresql_database: Database, postgresql_url: str, fake_redis: Redis
) -> None:
    async with postgresql_database.writes.begin() as session:
        await session.execute(text("DROP TABLE handles, api_keys, dibs_alembic_version, receipts, animals CASCADE"))
    engine = create_async_engine(postgresql_url)
    await make_guest(engine, fake_redis).migrate()
    async with asking(Shop(make_guest(engine, fake_redis)).app) as client:
        assert (await client.get("/names/collections/handles")).json()["rows"] == []
    await engine.dispose()


async def test_routes_of_the_application_add_without_a_key(sqlite_engine: AsyncEngine, fake_redis: Redis) -> None:
    """HTTP needs one as soon as there is one; the application is in already, and speaks for its own name."""
    database = open_database(sqlite_engine.url.render_as_string(hide_password=False))
    await add_tenants(database, "acme")
    await make_key(database, "shop", Scope.READ)
    guest = make_guest(sqlite_engine, fake_redis)
    shop = Shop(guest, worker=True)
    names, others = guest.client(caller="shop"), guest.client(caller="others")
    async with asking(shop.app) as client:
        assert (await client.post("/names/add")).status_code == 401
        clear_contextvars()  # the client of this test asks in this very task
        values = {"tenant": "acme", "owner": "Ada"}
        jobs = [await names.add({"handle": "max"}, to="handles", values=values, wait=20) for _ in range(2)]
        assert [type(job.known_outcome) for job in jobs] == [Succeeded, Exhausted]
        assert jobs[0].view.links.self == f"/names/jobs/{jobs[0].id}"
        assert (await names.health()).workers == 1
        assert len([job async for job in names.jobs()]) == 2
        with pytest.raises(Refused):
            await others.job(jobs[0].id)
        assert "request_id" not in get_contextvars()
    assert len(await rows_of(database, guest.collections["handles"])) == 1
    await database.close()


@pytest.mark.parametrize("options", [{"isolation_level": "AUTOCOMMIT"}, {"isolation_level": "SERIALIZABLE"}, {}])
async def test_transactions_are_ours_whatever_the_engine_is_set_to(
    postgresql_url: str, options: dict[str, Any]
) -> None:
    engine = create_async_engine(postgresql_url, pool_size=1, max_overflow=0, **options)
    mine = text("SELECT current_setting('transaction_isolation'), current_setting('lock_timeout')")
    async with engine.connect() as connection:
        before = (await connection.execute(mine)).one()
    async with borrowed(engine, pool_size=1) as database:
        async with database.writes() as session:
            assert tuple((await session.execute(mine)).one()) == ("read committed", f"{LOCK_TIMEOUT_S}s")
            await session.execute(text("INSERT INTO animals (name) VALUES ('Max')"))
            await session.rollback()
        async with database.reads() as session:
            assert list(await session.scalars(text("SELECT name FROM animals"))) == []
            assert (await session.execute(mine)).one()[0] == "read committed"
    async with engine.connect() as connection:
        assert (await connection.execute(mine)).one() == before
    await engine.dispose()


async def test_it_answers_only_while_it_runs(sqlite_engine: AsyncEngine, fake_redis: Redis) -> None:
    guest = make_guest(sqlite_engine, fake_redis)
    app = Shop(guest).app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as client:
        with pytest.raises(RuntimeError, match="lifespan"):
            await client.post("/names/add")
    async with guest.running():
        with pytest.raises(RuntimeError, match="running already"):
            async with guest.running():
                pass


def test_what_it_cannot_work_on_is_told_at_once(sqlite_url: str, fake_redis: Redis) -> None:
    for url in ("sqlite+aiosqlite://", "sqlite+aiosqlite:///file:x?mode=memory&uri=true"):
        with pytest.raises(SettingsError, match="in memory"):
            make_guest(create_async_engine(url, poolclass=NullPool), fake_redis)
    with pytest.raises(SettingsError, match="decode_responses"):
        make_guest(create_async_engine(sqlite_url), Redis(decode_responses=True))
    with pytest.raises(SettingsError, match="DIBS_REDIS_URL"):
        Guest(Settings.load(database_url=sqlite_url))
    with pytest.raises(SettingsError, match="DIBS_DATABASE_URL"):
        Guest(Settings.load(), redis=fake_redis)
    with pytest.raises(CollectionError, match=r"no\.such\.models"):
        Guest(Settings.load(database_url=sqlite_url), redis=fake_redis, models=["no.such.models"])


async def test_it_opens_and_closes_what_the_settings_name(sqlite_url: str, redis_url: str) -> None:
    guest = Guest(Settings.load(database_url=sqlite_url, redis_url=redis_url, queue_name="guest", lease_s=1))
    app = FastAPI()  # without a lifespan of its own
    guest.mount(app, "/names/", worker=True)
    async with asking(app) as client:
        added = await client.post("/names/add", headers={"Prefer": "wait=20"})
        assert added.json()["result"]["name"] == "Max"
        assert added.headers["location"] == f"/names/jobs/{added.json()['id']}"


WORKER = """
import asyncio, sys
from sqlalchemy.ext.asyncio import create_async_engine
from dibs.guest import Guest, Settings

async def main():
    engine = create_async_engine(sys.argv[1])
    await Guest(Settings.load(redis_url=sys.argv[2], queue_name="guest"), engine=engine, models=["tests.models"]).work()
    async with engine.connect():
        print("the engine is open still")
    await engine.dispose()

asyncio.run(main())
"""


async def test_its_worker_is_a_process_that_stops_when_it_is_told_to(database_url: str, redis_url: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, database_url, redis_url, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"dibs worker works for guest\n"
    guest = Guest(Settings.load(database_url=database_url, redis_url=redis_url, queue_name="guest"))
    async with guest.running():
        job = await guest.client().add("Max", wait=20)
    assert isinstance(job.known_outcome, Succeeded)
    worker.send_signal(signal.SIGTERM)
    told, _ = await worker.communicate()
    assert (worker.returncode, told) == (0, b"the engine is open still\n")
