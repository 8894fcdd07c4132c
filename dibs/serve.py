"""The processes: `dibs serve`, `dibs api` and `dibs worker`.

Each is a stack of contexts in one event loop. It unwinds in the order that a stop needs: the api closes, the
worker drains, Redis closes, a private one stops, the database closes.
"""

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Table

from api.access import MAKE_A_KEY
from api.keyring import Keyring, State
from api.local import is_loopback
from api.main import make_app
from dibs.embedded import Store, locked, opened_redis, own_redis
from dibs.entrance import address_of, bound
from dibs.errors import StartError
from dibs.http_protocol import Bounds
from dibs.http_server import answering
from dibs.logs import name_of
from dibs.metrics_server import showing
from dibs.signals import Stop
from shared.database import Database, open_database
from shared.exporting import open_tracing
from shared.faults import FaultClass, sort_fault
from shared.metrics import Metrics
from shared.migrate import is_current, migrate
from shared.queue import Queue
from shared.registry import load_collections
from shared.settings import Settings
from shared.tracing import Tracing
from worker.main import at_work, make_hands, make_runner

log = logging.getLogger(__name__)

# Beside those of the batches: the api's requests, its subscription, the worker's loop, pulse, reaper and bell.
MORE_CONNECTIONS = 50

HERE = "listen on 127.0.0.1 (DIBS_HOST)"

CLOSING_S = 5.0
"""What a stop may take beyond its grace, for handing back and closing; servers that hang would hold it up for ever."""

HTTP_SHARE = 1 / 3
"""How much of `grace_s` the last requests may take; the worker has the rest, so that both end in time."""


async def serve(settings: Settings) -> None:
    """The api and the worker in one process, on the embedded database or queue where no URL is set."""
    load_collections(settings.models)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(bound(settings.host, settings.port))
        stop = stack.enter_context(Stop(_latest_s(settings)).on_signals())
        if settings.database_url is None or settings.redis_url is None:
            stack.enter_context(locked(settings.data_dir))
        signals = await stack.enter_async_context(_signals(settings, "dibs"))
        database = await stack.enter_async_context(_database(settings, signals))
        keyring = await _keyring(settings, database, listener)
        store = await stack.enter_async_context(_store(settings))
        queue = Queue(store.redis, settings.queue_name, limit=settings.queue_limit)
        grace_s = settings.grace_s * (1 - HTTP_SHARE)
        await stack.enter_async_context(_working(settings, database, queue, store, stop, grace_s, signals))
        # Nobody else is there to whom callers could go meanwhile.
        answering_ = _answering(settings, database, queue, keyring, listener, stop, signals, drain_s=0)
        await stack.enter_async_context(answering_)
        _announce(stop, f"dibs serves {address_of(listener)}")
        await stop.wait()


async def serve_api(settings: Settings) -> None:
    """The api alone."""
    load_collections(settings.models)
    settings.need("database_url")
    settings.need("redis_url")
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(bound(settings.host, settings.port))
        stop = stack.enter_context(Stop(_latest_s(settings)).on_signals())
        signals = await stack.enter_async_context(_signals(settings, "dibs-api"))
        database = await stack.enter_async_context(_database(settings, signals))
        keyring = await _keyring(settings, database, listener)
        store = await stack.enter_async_context(_store(settings))
        queue = Queue(store.redis, settings.queue_name, limit=settings.queue_limit)
        answering_ = _answering(settings, database, queue, keyring, listener, stop, signals, drain_s=settings.drain_s)
        await stack.enter_async_context(answering_)
        _announce(stop, f"dibs api serves {address_of(listener)}")
        await stop.wait()


async def serve_worker(settings: Settings) -> None:
    """The worker alone."""
    load_collections(settings.models)
    settings.need("database_url")
    redis_url = settings.need("redis_url")
    async with AsyncExitStack() as stack:
        stop = stack.enter_context(Stop(_latest_s(settings)).on_signals())
        signals = await stack.enter_async_context(_signals(settings, "dibs-worker"))
        database = await stack.enter_async_context(_database(settings, signals))
        store = await stack.enter_async_context(_store(settings))
        queue = Queue(store.redis, settings.queue_name, limit=settings.queue_limit)
        await stack.enter_async_context(showing(settings, signals.metrics, stop))
        await stack.enter_async_context(_working(settings, database, queue, store, stop, settings.grace_s, signals))
        _announce(stop, f"dibs worker works for {settings.queue_name} at {name_of(redis_url)}")
        await stop.wait()


def _latest_s(settings: Settings) -> float:
    return settings.drain_s + settings.grace_s + CLOSING_S


@dataclass(frozen=True)
class Signals:
    """What the parts of one process count into together, and where their traces go, if anywhere."""

    metrics: Metrics
    tracing: Tracing | None


@asynccontextmanager
async def _signals(settings: Settings, service: str) -> AsyncIterator[Signals]:
    tracing = open_tracing(service)
    try:
        yield Signals(Metrics(load_collections(settings.models)), tracing)
    finally:
        if tracing is not None:
            await tracing.close()


@asynccontextmanager
async def _database(settings: Settings, signals: Signals) -> AsyncIterator[Database]:
    """The database, with the schema that this code needs; raises `StartError`."""
    url = settings.database_url or settings.embedded_database_url
    if settings.database_url is None:
        tables = [collection.table for collection in load_collections(settings.models).values()]
        try:
            await migrate(url, tables)
        except Exception as error:
            raise StartError(f"{name_of(url)} cannot be migrated: {sort_fault(error).detail}") from error
    database = open_database(url, pool_size=settings.concurrency)
    if signals.tracing is not None:
        signals.tracing.follow(database)
    try:
        await _check_schema(database, url, [c.table for c in load_collections(settings.models).values()])
        yield database
    finally:
        await database.close()


async def _check_schema(database: Database, url: str, tables: list[Table]) -> None:
    try:
        current = await is_current(database.reader, tables)
    except Exception as error:
        fault = sort_fault(error)
        if fault.kind not in {FaultClass.OUTAGE, FaultClass.TIMEOUT, FaultClass.PASSING}:
            raise StartError(f"{name_of(url)} cannot be used: {fault.code}: {fault.detail}") from error
        log.warning("%s does not answer (%s): adds are taken in and wait for it", name_of(url), fault.code)
        return
    if not current:
        raise StartError(f"{name_of(url)} lacks tables or columns that this dibs needs: run `dibs migrate` first")
    log.info("database: %s", name_of(url))


async def _keyring(settings: Settings, database: Database, listener: socket.socket) -> Keyring:
    """The keys; raises `StartError` where there are none and others than this machine could ask.

    Where they cannot be read yet, nobody is let in until they can be.
    """
    keyring = Keyring(database, settings)
    await keyring.refresh()
    host = listener.getsockname()[0]
    if keyring.state is State.OPEN:
        if not is_loopback(host):
            raise StartError(f"{host} can be reached from outside and there is no API key yet: {MAKE_A_KEY}, or {HERE}")
        log.info("no API key was ever made: whoever is on this machine may do everything")
    return keyring


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    connections = settings.concurrency + MORE_CONNECTIONS
    if settings.redis_url is None:
        async with own_redis(settings.data_dir, connections=connections) as store:
            yield store
    else:
        async with opened_redis(settings.redis_url, connections=connections) as redis:
            log.info("queue: %s", name_of(settings.redis_url))
            yield Store(redis, outlives=True)


@asynccontextmanager
async def _answering(
    settings: Settings,
    database: Database,
    queue: Queue,
    keyring: Keyring,
    listener: socket.socket,
    stop: Stop,
    signals: Signals,
    *,
    drain_s: float,
) -> AsyncIterator[None]:
    app = make_app(
        settings, database=database, queue=queue, keyring=keyring, metrics=signals.metrics, tracing=signals.tracing
    )
    grace_s = settings.grace_s * HTTP_SHARE
    async with answering(
        app,
        listener,
        stop,
        bounds=Bounds.of(settings),
        grace_s=grace_s,
        drain_s=drain_s,
        max_connections=settings.max_connections,
        root_path=settings.root_path,
    ):
        yield


@asynccontextmanager
async def _working(
    settings: Settings, database: Database, queue: Queue, store: Store, stop: Stop, grace_s: float, signals: Signals
) -> AsyncIterator[None]:
    """Works while inside; on leaving, ends what runs, or all that is queued where nothing would outlive us."""
    hands = make_hands(settings, database, queue, metrics=signals.metrics, tracing=signals.tracing)
    runner = make_runner(settings, hands)
    told = asyncio.Event()
    async with at_work(hands):
        running = runner.run_until(told, grace_s=grace_s, drain=not store.outlives)
        work = asyncio.create_task(running, name="worker")
        stop.depends_on(work)
        try:
            yield
        finally:
            told.set()
            if not await stop.unless_hurried(work):
                await runner.stop_now()
            await asyncio.wait({work})
            if not store.outlives and (lost := await queue.depth()):
                log.error("%d accepted jobs are lost with the queue in memory", lost)


def _announce(stop: Stop, line: str) -> None:
    stop.ready()
    # What the start has made lives as long as the process: the collector need not walk it again and again, which
    # took some 80 ms each time, with every request waiting.
    gc.collect()
    gc.freeze()
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
