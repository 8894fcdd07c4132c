"""The examination, from the settings to the workers; what depends on a server that is away is not asked."""

from contextlib import AsyncExitStack

from redis.asyncio import Redis

from dibs.doctor import of_clocks, of_database, of_redis, of_work
from dibs.doctor.findings import Finding, ok, warn
from dibs.doctor.of_redis import Examined
from dibs.embedded import opened_redis
from dibs.logs import name_of
from dibs.private_redis import PrivateRedis, find_program
from shared.database import open_database
from shared.queue import Queue
from shared.registry import load_collections
from shared.settings import Settings

CONNECTIONS = 5


async def examine(settings: Settings) -> list[Finding]:
    """Everything that was found; changes nothing. Raises `CollectionError` where the models are no collections."""
    collections = load_collections(settings.models)
    database_url = settings.database_url or settings.embedded_database_url
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(opened_redis(_redis_url(settings), connections=CONNECTIONS))
        database = open_database(database_url, pool_size=CONNECTIONS)
        stack.push_async_callback(database.close)
        of_its_redis = await _of_redis(settings, redis)
        of_its_database = await of_database.examine(
            database, name_of(database_url), collections.values(), is_embedded=settings.database_url is None
        )
        of_its_clocks = await of_clocks.examine(
            redis if of_its_redis.answers else None,
            database if of_its_database.answers else None,
            lease_s=settings.lease_s,
        )
        queue = Queue(redis, settings.queue_name, limit=settings.queue_limit)
        of_its_work = await of_work.examine(queue) if of_its_redis.answers else []
    of_its_settings = [_of_settings(settings, list(collections))]
    return of_its_settings + of_its_redis.findings + of_its_database.findings + of_its_clocks + of_its_work


async def _of_redis(settings: Settings, redis: Redis) -> Examined:
    if settings.redis_url is None and find_program() is None:
        mend = "install redis-server, or set DIBS_REDIS_URL: what memory holds does not outlive a crash"
        seen = "the queue is in the memory of `dibs serve`, and cannot be seen from here"
        return Examined(False, [warn("redis", seen, mend)])
    return await of_redis.examine(redis, name_of(_redis_url(settings)), is_embedded=settings.redis_url is None)


def _of_settings(settings: Settings, collections: list[str]) -> Finding:
    urls = {"database": settings.database_url, "queue": settings.redis_url}
    embedded = " and ".join(name for name, url in urls.items() if url is None)
    where = f"; {embedded} under {settings.data_dir}, as `dibs serve` has it" if embedded else ""
    return ok("settings", f"collections: {', '.join(sorted(collections))}{where}")


def _redis_url(settings: Settings) -> str:
    return settings.redis_url or PrivateRedis(find_program() or "redis-server", settings.data_dir).url
