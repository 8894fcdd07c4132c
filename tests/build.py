"""The small things that tests are made of."""

import pickle
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis
from sqlalchemy import insert, select

from shared.clock import utc_now
from shared.collections import Collection
from shared.contract import Batch, Job
from shared.database import Database
from shared.encoding import encode
from shared.ids import new_id
from shared.metrics import Metrics
from shared.queue import Queue
from shared.receipts import Receipt, read_receipts
from shared.registry import load_collections
from shared.settings import Settings
from shared.testing.queue import make_redis
from shared.tracing import Tracing
from tests.models import Tenant
from worker.claim import Wish
from worker.hands import Hands
from worker.main import make_hands as make_real_hands

MODELS = ("tests.models",)
COLLECTIONS = load_collections(MODELS)
ANIMALS = COLLECTIONS["animals"]
HANDLES = COLLECTIONS["handles"]


def body(candidates: Sequence[Any], values: dict[str, Any] | None = None) -> bytes:
    """An add as a caller would send it."""
    return orjson.dumps({"candidates": candidates} | ({"values": values} if values else {}))


def make_job(
    collection: Collection, candidates: Sequence[Any], values: dict[str, Any] | None = None, job_id: UUID | None = None
) -> Job:
    """A job as the door makes it of an add."""
    add = collection.parse_add(body(candidates, values))
    return Job(
        id=job_id or new_id(),
        candidates=add.candidates,
        values=add.values,
        fingerprint=add.fingerprint(collection.name),
        submitted_at=utc_now(),
    )


def make_handle_job(tenant: str, /, *handles: str, **values: Any) -> Job:
    """A job for the first of `handles` that is free at `tenant`."""
    return make_job(HANDLES, [{"handle": h} for h in handles], {"tenant": tenant, "owner": "Ada"} | values)


def make_wishes(collection: Collection, jobs: Iterable[Job]) -> list[Wish]:
    return [Wish.of(job, collection) for job in jobs]


def make_payload(collection: Collection, jobs: Iterable[Job]) -> dict[str, Any]:
    """A batch as it comes out of Redis."""
    payload = orjson.loads(encode(Batch(collection=collection.name, jobs=list(jobs)).model_dump()))
    assert isinstance(payload, dict)
    for job in payload["jobs"]:
        if job["traceparent"] is None:
            del job["traceparent"]
    return payload


class _Touch:
    """Pickled, it makes the file `path` when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._path,)


def make_bomb(path: Path) -> bytes:
    """Pickle, as a default arq would put it into Redis, that shows by the file `path` that somebody ran it."""
    return pickle.dumps({"t": None, "f": "add", "a": [_Touch(path)], "k": {}, "et": 0})


def make_settings(**given: Any) -> Settings:
    return Settings.load(**{"models": MODELS, "lease_s": 1.0, "poll_delay_s": 0.05} | given)


def make_hands(
    database: Database,
    queue: Queue,
    *,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
    **given: Any,
) -> Hands:
    """A worker's hands with the tests' models; the jitter is the same each time."""
    hands = make_real_hands(make_settings(**given), database, queue, metrics=metrics, tracing=tracing)
    hands.random = Random(0)
    return hands


def make_fake_redis() -> Redis:
    return make_redis()


async def add_tenants(database: Database, *names: str) -> None:
    async with database.writes.begin() as session:
        await session.execute(insert(Tenant), [{"name": name} for name in names])


async def rows_of(database: Database, collection: Collection) -> list[dict[str, Any]]:
    """All rows, in the order of their key."""
    order = [collection.table.c[name] for name in collection.key]
    async with database.reads() as session:
        found = await session.execute(select(collection.table).order_by(*order))
        return [dict(row._mapping) for row in found]


async def names_of(database: Database) -> list[str]:
    return [row["name"] for row in await rows_of(database, ANIMALS)]


async def receipts_of(database: Database, jobs: Iterable[Job]) -> dict[UUID, Receipt]:
    async with database.reads() as session:
        return await read_receipts(session, [job.id for job in jobs])
