"""The api and a worker in the test's own process, on the test's own database and queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from api.keyring import Keyring
from api.main import make_app
from shared.database import Database
from shared.metrics import Metrics
from shared.queue import Queue
from shared.tracing import Tracing
from tests.build import make_hands, make_settings
from worker.main import at_work, make_runner

WAIT = {"Prefer": "wait=20"}


def make_test_app(
    database: Database,
    queue: Queue,
    *,
    keyring: Keyring | None = None,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
    **settings: Any,
) -> FastAPI:
    made = make_settings(**settings)
    return make_app(made, database=database, queue=queue, keyring=keyring, metrics=metrics, tracing=tracing)


async def read_keyring(database: Database, **settings: Any) -> Keyring:
    """The keys as an api knows them that was started while `database` was there."""
    keyring = Keyring(database, make_settings(**settings))
    await keyring.refresh()
    return keyring


@asynccontextmanager
async def serving(
    database: Database, queue: Queue, *, key: str = "", **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client, which sends `key`, if any, of the api that is made with `options`; nobody works."""
    app = make_test_app(database, queue, **options)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://dibs.test", headers=headers, timeout=60) as client,
    ):
        yield client


@asynccontextmanager
async def working(
    database: Database,
    queue: Queue,
    *,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
    **settings: Any,
) -> AsyncIterator[None]:
    """A worker runs in the background."""
    made = make_settings(**settings)
    hands = make_hands(database, queue, metrics=metrics, tracing=tracing, **settings)
    stop = asyncio.Event()
    async with at_work(hands):
        running = asyncio.create_task(make_runner(made, hands).run_until(stop, grace_s=10))
        try:
            yield
        finally:
            stop.set()
            await running


async def ended(client: httpx.AsyncClient, job: dict[str, Any], *, within_s: float = 20) -> dict[str, Any]:
    """The job once it has ended; polls, so that a lost wake-up does not hide behind `Prefer`."""
    async with asyncio.timeout(within_s):
        while True:
            answer = await client.get(job["links"]["self"], headers={"Prefer": "wait=1"})
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            if found["finished_at"]:
                return found


async def drained(queue: Queue, *, within_s: float = 30) -> None:
    """Return when no batch is left in the queue, neither waiting nor running."""
    async with asyncio.timeout(within_s):
        while await queue.redis.zcard(queue.batches):  # noqa: ASYNC110  # another process empties it
            await asyncio.sleep(0.01)
