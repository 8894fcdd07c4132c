"""The embedded default: a data directory, and in it a private Redis where a program for one is installed."""

import fcntl
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from dibs.errors import StartError
from dibs.private_redis import PrivateRedis, find_program
from shared.redis import open_redis
from shared.tasks import beside

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """A Redis, and whether what it holds outlives this process."""

    redis: Redis
    outlives: bool


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """`data_dir`, made if it is missing, for one `dibs serve` at a time; raises `StartError`."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"the data directory {data_dir} cannot be used: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode().strip() or "unknown"
            raise StartError(
                f"another `dibs serve` (process {holder}) works on {data_dir}; "
                "stop it, or set DIBS_DATA_DIR to another directory"
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(lock)


@asynccontextmanager
async def own_redis(data_dir: Path, *, connections: int) -> AsyncIterator[Store]:
    """A private server on the locked `data_dir`, or one in memory where no program for it is on PATH."""
    program = find_program()
    if program is None:
        log.warning(
            "queue: in memory (fakeredis): jobs accepted but not done do not outlive a crash; "
            "install redis-server or set DIBS_REDIS_URL"
        )
        import fakeredis  # noqa: PLC0415  # only here, where there is no other Redis

        async with fakeredis.FakeAsyncRedis(server=fakeredis.FakeServer()) as redis:
            yield Store(redis, outlives=False)
        return
    server = PrivateRedis(program, data_dir)
    try:
        await server.start()
        log.info("queue: private %s at %s, every accepted add is on disk before its 202", server.name, server.socket)
        async with (
            beside(private_redis=server.watch_for_ever()),
            opened_redis(server.url, connections=connections) as redis,
        ):
            yield Store(redis, outlives=True)
    finally:
        await server.stop()


@asynccontextmanager
async def opened_redis(url: str, *, connections: int) -> AsyncIterator[Redis]:
    redis = open_redis(url, connections=connections)
    try:
        yield redis
    finally:
        await redis.aclose(close_connection_pool=True)
