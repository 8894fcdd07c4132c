"""Many that wait: answered at once, together, and hardly any work while nothing happens."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from redis.asyncio import Redis
from sqlalchemy import event

from api import bulk_door, waiters
from shared.contract import Job
from shared.database import Database
from shared.queue import Queue
from shared.receipts import Receipt, write_receipts
from tests.build import ANIMALS, make_job
from tests.serving import WAIT, make_test_app, serving, working
from tests.waiting import until

MANY = 1000
AT_MOST_S = 2.0
"""`python -m tests.benchmarks waiting` measures it; here it must only be nowhere near one by one."""


class Counted:
    """Counts the statements that a database is asked."""

    def __init__(self, database: Database) -> None:
        self.statements = 0
        event.listen(database.reader.sync_engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self.statements += 1


async def ended(database: Database, jobs: Sequence[Job]) -> list[Receipt]:
    """As a worker ends `jobs`, but that nobody is told."""
    receipts = [Receipt.succeeded(job, "animals", tries=1, choice=0, row={"id": 1, "name": "Max"}) for job in jobs]
    async with database.writes.begin() as session:
        await write_receipts(session, receipts)
    return receipts


async def submitted(queue: Queue, count: int) -> list[Job]:
    jobs = [make_job(ANIMALS, [f"n{number}"]) for number in range(count)]
    for start in range(0, count, 500):
        await queue.submit("animals", jobs[start : start + 500])
    return jobs


def asking(client: httpx.AsyncClient, jobs: Sequence[Job]) -> list["asyncio.Task[httpx.Response]"]:
    return [asyncio.create_task(client.get(f"/jobs/{job.id}", headers=WAIT)) for job in jobs]


async def all_wait(counted: Counted) -> None:
    """Return when nobody asks for anything new: all have looked once, and listen."""

    async def is_quiet() -> bool:
        before = counted.statements
        await asyncio.sleep(0.3)
        return counted.statements > 0 and counted.statements == before

    await until(is_quiet)


async def test_a_thousand_that_wait_are_answered_together(
    postgresql_database: Database, redis_queue: Queue, real_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "LOOK_AGAIN_S", 60)  # nobody is answered by luck
    jobs = await submitted(redis_queue, MANY)
    async with serving(postgresql_database, redis_queue) as client:
        counted = Counted(postgresql_database)
        answers = asking(client, jobs)
        await all_wait(counted)
        assert counted.statements < MANY / 10, "they look one by one"

        receipts = await ended(postgresql_database, jobs)
        counted.statements, began = 0, time.monotonic()
        for start in range(0, MANY, 500):
            await redis_queue.settle(receipts[start : start + 500])
        found = [answer.json() for answer in await asyncio.gather(*answers)]
        took_s = time.monotonic() - began
    assert {UUID(job["id"]) for job in found} == {job.id for job in jobs}
    assert {job["status"] for job in found} == {"succeeded"}
    assert counted.statements < MANY / 50, "their receipts are read one by one"
    assert took_s < AT_MOST_S
    # The queue's own, the subscription, and what a look needs.
    connections = [one for one in await real_redis.client_list() if one["db"] == str(_database_of(real_redis))]
    assert len(connections) <= 5


def _database_of(redis: Redis) -> Any:
    return redis.connection_pool.connection_kwargs["db"]


async def test_those_that_nobody_told_find_out_together_by_themselves(
    postgresql_database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "LOOK_AGAIN_S", 0.5)
    jobs = await submitted(fake_queue, 200)
    async with serving(postgresql_database, fake_queue) as client:
        counted = Counted(postgresql_database)
        answers = asking(client, jobs)
        # Looks at all of them go on twice a second.
        await until(lambda: _many_wait(fake_queue, counted))
        await ended(postgresql_database, jobs)
        counted.statements = 0
        async with asyncio.timeout(10):
            found = [answer.json() for answer in await asyncio.gather(*answers)]
    assert {job["status"] for job in found} == {"succeeded"}
    assert counted.statements < 20


async def _many_wait(queue: Queue, counted: Counted) -> bool:
    before = counted.statements
    await asyncio.sleep(1.2)
    return 0 < counted.statements - before < 10


async def test_a_wait_ends_with_the_job_as_it_stands(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        job = (await client.post("/add")).json()
        began = time.monotonic()
        answer = await client.get(job["links"]["self"].upper().replace("/JOBS", "/jobs"), headers={"Prefer": "wait=1"})
        assert 0.9 < time.monotonic() - began < 10
        assert (answer.json()["status"], answer.headers["preference-applied"]) == ("queued", "wait=1")


async def test_an_id_in_another_spelling_is_answered_at_once_too(
    sqlite_database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "LOOK_AGAIN_S", 60)
    async with serving(sqlite_database, fake_queue) as client:
        job = (await client.post("/add")).json()
        counted = Counted(sqlite_database)
        waiting = asyncio.create_task(client.get(f"/jobs/{job['id'].upper()}", headers=WAIT))
        await all_wait(counted)
        await client.delete(job["links"]["self"])
        async with asyncio.timeout(5):
            assert (await waiting).json()["status"] == "cancelled"


def lines(count: int) -> bytes:
    return b"".join(orjson.dumps({"candidates": [f"n{number}"]}) + b"\n" for number in range(count))


NDJSON = {"Content-Type": "application/x-ndjson"}


async def test_a_bulk_is_waited_for_until_all_its_jobs_have_ended(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_door, "LOOK_AGAIN_S", 60)  # it is told, and does not look by luck
    async with serving(database, queue) as client:
        bulk = (await client.post("/bulk/animals", content=lines(700), headers=NDJSON)).json()
        counted = Counted(database)
        waiting = asyncio.create_task(client.get(bulk["links"]["self"], headers=WAIT))
        await all_wait(counted)
        async with asyncio.timeout(20), working(database, queue):
            answer = await waiting
    assert answer.json()["counts"] == {"succeeded": 700}
    assert answer.headers["preference-applied"] == "wait=20"


async def test_a_bulk_that_has_not_ended_in_time_is_shown_as_it_stands(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        bulk = (await client.post("/bulk/animals", content=lines(3), headers=NDJSON)).json()
        answer = await client.get(bulk["links"]["self"], headers={"Prefer": "wait=1"})
        assert answer.json()["counts"] == {"queued": 3}
        missing = await client.get("/bulk/none", headers=WAIT)
        assert (missing.status_code, missing.json()["type"]) == (404, "/problems/unknown-bulk")


@pytest.mark.parametrize("path", ["jobs", "bulk"])
async def test_a_stop_answers_those_that_wait_at_once(sqlite_database: Database, fake_queue: Queue, path: str) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        job = (await client.post("/add")).json()
        bulk = (await client.post("/bulk/animals", content=lines(3), headers=NDJSON)).json()
        wanted = job if path == "jobs" else bulk
        counted = Counted(sqlite_database)
        waiting = asyncio.create_task(client.get(wanted["links"]["self"], headers=WAIT))
        await until(lambda: _asked(counted))
        app.state.stopping()
        async with asyncio.timeout(5):
            assert (await waiting).status_code == 200


async def _asked(counted: Counted) -> bool:
    return counted.statements > 0
