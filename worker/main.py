"""The worker's entrypoints: `arq worker.main.WorkerSettings`, and the parts of `dibs worker` and `dibs serve`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from arq.worker import Function, Retry, func

from shared.collections import Collection
from shared.contract import Batch
from shared.database import Database, open_database
from shared.exporting import open_tracing
from shared.metrics import Metrics
from shared.payload import FUNCTION, dump_payload, load_payload
from shared.queue import Queue
from shared.redis import REDIS_FAULTS, open_redis
from shared.registry import load_collections
from shared.settings import Settings
from shared.tasks import CANCEL_AGAIN_S, beside
from shared.tickets import Delivery
from shared.tracing import Tracing
from worker.hands import Again, Ended, Hands
from worker.metrics import WorkerMetrics
from worker.outage import Outage
from worker.pulse import Pulse
from worker.reaper import reap_for_ever
from worker.retry import Policy
from worker.runner import Runner
from worker.watch import Watch

# Redis connections beside those of the running batches: the loop, the pulse, the reaper, the bell.
SPARE_CONNECTIONS = 10


async def add(ctx: dict[str, Any], batch: Batch | None) -> dict[str, int]:
    """The arq function: one delivery of a batch. Returns how many of its jobs have their receipts.

    Raises arq's `Retry` to have it delivered again later.
    """
    hands = hands_of(ctx)
    with contextlib.suppress(*REDIS_FAULTS):
        # arq leases for ten seconds at least; a worker that dies here is to be followed sooner.
        await hands.pulse.renew([ctx["job_id"]])
    match await hands.run([await _delivery(hands.queue, ctx["job_id"], batch, ctx["job_try"])]):
        case Again(delay_s):
            raise Retry(defer=delay_s)
        case Ended(receipts):
            # Committed: should Redis be away now, the next delivery finds the receipts and comes here again.
            with contextlib.suppress(*REDIS_FAULTS):
                await hands.queue.settle(receipts.values(), ctx["job_id"])
            return {"ended": len(receipts)}


async def _delivery(queue: Queue, batch: str, content: Batch | None, number: int) -> Delivery:
    """The delivery that arq makes, as `Queue.take` would have made it."""
    if number == 1:
        return Delivery(batch, content, number)
    spent, excused = await queue.progress(batch)
    await queue.excuse([batch])
    return Delivery(batch, content, number, spent, excused)


def hands_of(ctx: dict[str, Any]) -> Hands:
    hands = ctx["hands"]
    assert isinstance(hands, Hands)
    return hands


def functions() -> list[Function]:
    return [func(add, name=FUNCTION)]


def make_hands(
    settings: Settings,
    database: Database,
    queue: Queue,
    *,
    collections: dict[str, Collection] | None = None,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
) -> Hands:
    """Hands on what is the caller's to close. They count into `metrics`, so that somebody can show them.

    The `collections` are those that the settings name unless they are given.
    """
    if collections is None:
        collections = load_collections(settings.models)
    counters = WorkerMetrics(metrics or Metrics(collections))
    return Hands(
        database=database,
        queue=queue,
        collections=collections,
        policy=Policy(max_tries=settings.max_tries),
        pulse=Pulse(queue, settings.lease_s, counters),
        outage=Outage(database.answers),
        slots=asyncio.Semaphore(settings.concurrency),
        max_deaths=settings.max_deaths,
        watch=Watch(counters, tracing),
    )


@contextlib.asynccontextmanager
async def at_work(hands: Hands) -> AsyncIterator[None]:
    """What must go on beside the batches: the pulse, and the search for lost jobs."""
    reaper = reap_for_ever(hands.queue, hands.database.writes, hands.watch.metrics)
    try:
        async with beside(pulse=hands.pulse.beat_for_ever()), beside(again_s=CANCEL_AGAIN_S, reaper=reaper):
            yield
    finally:
        await hands.outage.close()


def arq_options(settings: Settings) -> dict[str, Any]:
    """What arq's own worker must be told to keep the promises of dibs."""
    return {
        "max_jobs": settings.concurrency,
        "poll_delay": settings.poll_delay_s,
        # No timeout of arq's: it would end a job without a receipt. Statements have theirs. arq makes a lease
        # of 10 s of it, which the pulse shortens.
        "job_timeout": None,
        # Tries are bounded by us; arq would end an exhausted job without calling us.
        "max_tries": 2**31,
        # The receipt is the result, and a kept result would block the id.
        "keep_result": 0,
        "log_results": False,
        "job_serializer": dump_payload,
        "job_deserializer": load_payload,
    }


def make_runner(settings: Settings, hands: Hands) -> Runner:
    return Runner(hands, concurrency=settings.concurrency, poll_delay_s=settings.poll_delay_s, lease_s=settings.lease_s)


def open_queue(settings: Settings) -> Queue:
    redis = open_redis(settings.need("redis_url"), connections=settings.concurrency + SPARE_CONNECTIONS)
    return Queue(redis, settings.queue_name, limit=settings.queue_limit)


def arq_settings(settings: Settings) -> type:
    """The class that arq's own command takes; everything is opened on startup and closed on shutdown."""
    queue = open_queue(settings)
    stack = contextlib.AsyncExitStack()

    async def on_startup(ctx: dict[str, Any]) -> None:
        database = open_database(settings.need("database_url"), pool_size=settings.concurrency)
        stack.push_async_callback(database.close)
        if (tracing := open_tracing("dibs-worker")) is not None:
            stack.push_async_callback(tracing.close)
            tracing.follow(database)
        ctx["hands"] = make_hands(settings, database, queue, tracing=tracing)
        await stack.enter_async_context(at_work(ctx["hands"]))

    async def on_shutdown(_ctx: dict[str, Any]) -> None:
        await stack.aclose()

    options = arq_options(settings) | {
        "functions": functions(),
        "redis_pool": queue.redis,
        "queue_name": queue.batches,
        "on_startup": on_startup,
        "on_shutdown": on_shutdown,
        "job_completion_wait": int(settings.grace_s),
    }
    return type("WorkerSettings", (), options)


def __getattr__(name: str) -> Any:
    """`WorkerSettings` reads the environment when it is asked for, not when this module is imported."""
    if name == "WorkerSettings":
        return arq_settings(Settings.load())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
