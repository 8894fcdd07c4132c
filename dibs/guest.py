"""dibs as a guest in an application: mounted in its FastAPI app, on its engine, with its models.

    guest = Guest(Settings.load(), engine=engine, models=[Handle])
    guest.mount(app, "/names")      # the api, from the app's startup to its shutdown
    names = guest.client()          # the client, for routes of the app's own
    await guest.work()              # the worker, in a process of its own

What the application gives stays the application's: it is used, and never closed.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from api.callers import Caller
from api.callers import Scope as Allows
from api.main import make_app
from dibs.client.address import HERE
from dibs.client.asking import PATIENCE_S
from dibs.client.faces import Dibs
from dibs.embedded import opened_redis
from dibs.inside import Inside
from dibs.logs import name_of
from dibs.metrics_server import showing
from dibs.running import announce
from dibs.schema import check_schema
from dibs.signals import Stop
from dibs.working import working
from shared.borrowing import address_of, borrowed
from shared.database import Database, open_database
from shared.exporting import open_tracing
from shared.metrics import Metrics
from shared.migrate import migrate, migrate_database
from shared.queue import Queue
from shared.registry import CollectionError, load_collections
from shared.settings import Settings, SettingsError
from shared.tracing import Tracing
from worker.hands import Hands
from worker.main import arq_options, at_work, functions, make_hands, make_runner

__all__ = ["CollectionError", "Guest", "Settings", "SettingsError", "migrate"]

CONNECTIONS = 50
"""To Redis, beside those of the worker's claims."""


@dataclass(frozen=True)
class _Parts:
    """What the api and the worker stand on, opened."""

    database: Database
    queue: Queue
    metrics: Metrics
    tracing: Tracing | None


class Guest:
    """A dibs on what an application has already, and on `settings` for the rest.

    `engine` in the place of `database_url`: on PostgreSQL its pool is shared, on SQLite the same file is opened once
    more. `redis` in the place of `redis_url`: a client that gives bytes, as it does unless told otherwise. `models`
    beside those that the settings name. Neither is closed here; what is opened here is closed here.

    Connects to nothing yet. It is an ASGI app while it is `running()`, which `mount()` sees to.

    Raises `SettingsError` and `CollectionError`.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        engine: AsyncEngine | None = None,
        redis: Redis | None = None,
        models: Iterable[str | type[Any]] = (),
    ) -> None:
        self.settings = settings if settings is not None else Settings.load()
        self.collections = load_collections([*self.settings.models, *models], self.settings.limits)
        self._database_url = address_of(engine) if engine is not None else self.settings.need("database_url")
        if redis is None:
            self.settings.need("redis_url")
        elif redis.connection_pool.connection_kwargs.get("decode_responses"):
            raise SettingsError("the Redis client must not decode what it is answered: decode_responses=False")
        self._engine = engine
        self._redis = redis
        self._root = ""
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            raise RuntimeError("dibs is not running: the lifespan of the application it is mounted in was not run")
        await self._app(scope, receive, send)

    def mount(self, app: Starlette, path: str, *, worker: bool = False) -> None:
        """Answer below `path` of `app`, from its startup to its shutdown, with a `worker` in the same process or not.

        It starts when the lifespan that `app` has by now has started, and stops before that stops. Where it cannot
        start, such as on a database that lacks its tables, `app` does not: `StartError`.
        """
        app.mount(path, self, name="dibs")
        self._root = path.rstrip("/")
        around = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(outer: Starlette) -> AsyncIterator[Any]:
            async with around(outer) as state, self.running(worker=worker):
                yield state

        app.router.lifespan_context = lifespan

    @asynccontextmanager
    async def running(self, *, worker: bool = False) -> AsyncIterator[None]:
        """Answers while inside, for whoever composes lifespans by hand. Raises `StartError`."""
        if self._app is not None:
            raise RuntimeError("this dibs is running already")
        async with AsyncExitStack() as stack:
            parts = await stack.enter_async_context(self._opened("dibs"))
            if worker:
                await stack.enter_async_context(_at_work(self.settings, self._hands(parts)))
            app = make_app(
                self.settings,
                database=parts.database,
                queue=parts.queue,
                collections=self.collections,
                metrics=parts.metrics,
                tracing=parts.tracing,
            )
            await stack.enter_async_context(app.router.lifespan_context(app))
            self._app = app
            try:
                yield
            finally:
                self._app = None
                app.state.stopping()

    def client(self, *, caller: str = "", patience: float = PATIENCE_S) -> Dibs:
        """The client of this very dibs, without a socket and without a key, for the application's own routes.

        It speaks for `caller`, as a key with the scopes `add` and `read` does. It works while this is running, and
        need not be closed. The links of its jobs begin with the path of `mount`, so mount first.
        """
        speaker = Caller(caller, frozenset({Allows.ADD, Allows.READ}))
        return Dibs(HERE + self._root, patience=patience, transport=Inside(self, speaker, self._root))

    async def work(self) -> None:
        """Work until SIGTERM or SIGINT, and then stop as `dibs worker` does. Raises `StartError`."""
        async with AsyncExitStack() as stack:
            stop = stack.enter_context(Stop.of(self.settings).on_signals())
            parts = await stack.enter_async_context(self._opened("dibs-worker"))
            await stack.enter_async_context(showing(self.settings, parts.metrics, stop))
            working_ = working(self.settings, self._hands(parts), stop, grace_s=self.settings.grace_s)
            await stack.enter_async_context(working_)
            announce(stop, f"dibs worker works for {self.settings.queue_name}")
            await stop.wait()

    async def migrate(self) -> None:
        """Bring the database to the schema: dibs's own tables, and those of the models that are missing."""
        if self._engine is None or self._engine.dialect.name == "sqlite":
            await migrate(self._database_url, self._tables)
        else:
            async with borrowed(self._engine, pool_size=2) as database:
                await migrate_database(database, self._tables)

    def arq_options(self) -> dict[str, Any]:
        """The worker as arguments of arq's own `Worker`, for tests: the kit's `dibs_queue` runs what is due.

        What goes on beside it, the search for lost jobs and the renewal of leases, does not.
        """
        opened = AsyncExitStack()

        async def on_startup(ctx: dict[str, Any]) -> None:
            parts = await opened.enter_async_context(self._opened("dibs-worker"))
            ctx["hands"] = self._hands(parts)
            opened.push_async_callback(ctx["hands"].outage.close)

        async def on_shutdown(_ctx: dict[str, Any]) -> None:
            await opened.aclose()

        return arq_options(self.settings) | {
            "functions": functions(),
            "queue_name": Queue.batches_of(self.settings.queue_name),
            "on_startup": on_startup,
            "on_shutdown": on_shutdown,
        }

    @property
    def _tables(self) -> list[Table]:
        return [collection.table for collection in self.collections.values()]

    @asynccontextmanager
    async def _opened(self, service: str) -> AsyncIterator[_Parts]:
        settings = self.settings
        async with AsyncExitStack() as stack:
            if (tracing := open_tracing(service)) is not None:
                stack.push_async_callback(tracing.close)
            if self._engine is not None:
                database = await stack.enter_async_context(borrowed(self._engine, pool_size=settings.concurrency))
            else:
                database = open_database(self._database_url, pool_size=settings.concurrency)
                stack.push_async_callback(database.close)
            if tracing is not None:
                tracing.follow(database)
            await check_schema(database, name_of(self._database_url), self._tables)
            redis = self._redis
            if redis is None:
                connections = settings.concurrency + CONNECTIONS
                redis = await stack.enter_async_context(
                    opened_redis(settings.need("redis_url"), connections=connections)
                )
            queue = Queue(redis, settings.queue_name, limit=settings.queue_limit)
            yield _Parts(database, queue, Metrics(self.collections), tracing)

    def _hands(self, parts: _Parts) -> Hands:
        return make_hands(
            self.settings,
            parts.database,
            parts.queue,
            collections=self.collections,
            metrics=parts.metrics,
            tracing=parts.tracing,
        )


@asynccontextmanager
async def _at_work(settings: Settings, hands: Hands) -> AsyncIterator[None]:
    """Works while inside, in a process whose signals are not ours; on leaving, ends what runs within the grace."""
    runner, told = make_runner(settings, hands), asyncio.Event()
    async with at_work(hands):
        work = asyncio.create_task(runner.run_until(told, grace_s=settings.grace_s), name="worker")
        try:
            yield
        finally:
            told.set()
            await work
