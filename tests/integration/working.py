"""A runner at work on a real Redis and PostgreSQL, with clients of its own as a process has them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from arq.constants import in_progress_key_prefix

from shared.clock import now_ms
from shared.contract import Job, Status
from shared.database import Database, open_database
from shared.queue import BELOW, Queue
from shared.redis import open_redis
from tests.build import ANIMALS, make_hands, make_settings
from tests.waiting import until
from worker.hands import Hands
from worker.main import at_work, make_runner
from worker.runner import Runner

QUEUE_NAME = "test"


@asynccontextmanager
async def opened(database_url: str, redis_url: str) -> AsyncIterator[tuple[Database, Queue]]:
    """The clients of one process."""
    database, redis = open_database(database_url), open_redis(redis_url)
    try:
        yield database, Queue(redis, QUEUE_NAME, limit=10_000)
    finally:
        await database.close()
        await redis.aclose(close_connection_pool=True)


@dataclass
class Working:
    """A runner at work, with clients of its own."""

    hands: Hands
    runner: Runner
    stop: Callable[[], None]
    ended: asyncio.Task[None]


@asynccontextmanager
async def working(database_url: str, redis_url: str, *, grace_s: float = 10, **settings: Any) -> AsyncIterator[Working]:
    async with opened(database_url, redis_url) as (database, queue):
        hands = make_hands(database, queue, **settings)
        runner = make_runner(make_settings(**settings), hands)
        stop = asyncio.Event()
        async with at_work(hands):
            ended = asyncio.create_task(runner.run_until(stop, grace_s=grace_s))
            try:
                yield Working(hands, runner, stop.set, ended)
            finally:
                stop.set()
                await ended


async def submit(queue: Queue, *jobs: Job) -> None:
    for job in jobs:
        await queue.submit(ANIMALS.name, [job])


async def drained(queue: Queue) -> None:
    async def is_empty() -> bool:
        return await queue.depth() == 0

    await until(is_empty, patience_s=40)


async def is_running(queue: Queue, job: Job) -> bool:
    waiting = await queue.look(job.id)
    return waiting is not None and waiting.status is Status.RUNNING


async def lose_lease(queue: Queue, batch: str) -> None:
    """As if the lease of `batch` had run out: the key is gone, and its place in the queue is of the past."""
    await queue.redis.delete(in_progress_key_prefix + batch)
    await queue.redis.zadd(queue.batches, {batch: now_ms() - BELOW}, xx=True)


async def is_idle(queue: Queue) -> bool:
    """A worker waits to be handed a batch."""
    return bool(await queue.redis.zcard(f"{queue.name}:idle"))


async def is_held(hands: Hands) -> bool:
    return bool(hands.pulse._held)
