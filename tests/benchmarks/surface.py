"""All that the benchmarks know of dibs beside its HTTP and its commands."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from shared.queue import Queue
from shared.redis import open_redis
from tests.benchmarks.stage import Stage

QUEUE_NAME = "dibs"
QUEUE_LIMIT = 4_000_000


def dibs_environment(stage: Stage, **settings: str) -> Mapping[str, str]:
    """The defaults, but for where its servers are and how much may wait."""
    return {
        "DIBS_DATABASE_URL": stage.database_url,
        "DIBS_REDIS_URL": stage.redis_url,
        "DIBS_QUEUE_LIMIT": str(QUEUE_LIMIT),
        **settings,
    }


@asynccontextmanager
async def dibs_queue(stage: Stage) -> AsyncIterator[Queue]:
    redis = open_redis(stage.redis_url)
    try:
        yield Queue(redis, QUEUE_NAME, limit=QUEUE_LIMIT)
    finally:
        await redis.aclose(close_connection_pool=True)
