"""A cancel is exact: the job never inserts anything, or it is too late."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import Database
from shared.queue import Queue
from shared.receipts import read_receipts
from tests.build import names_of
from tests.serving import WAIT, ended, serving, working

RACES = 200


async def test_a_waiting_job_is_cancelled_and_never_inserted(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client:
        job = (await client.post("/add")).json()
        answer = await client.delete(job["links"]["self"])
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        async with working(database, queue):
            later = (await client.post("/add", json={"candidates": ["Rex"]}, headers=WAIT)).json()
            assert later["status"] == "succeeded"
            assert await ended(client, job) == answer.json()
        again = await client.delete(job["links"]["self"])
        assert (again.status_code, again.json()) == (200, answer.json())
    assert await names_of(database) == ["Rex"]


async def test_a_finished_job_is_too_late_to_cancel(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        job = (await client.post("/add", headers=WAIT)).json()
        answer = await client.delete(job["links"]["self"])
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/too-late"
    assert answer.json()["job"] == job
    assert await names_of(database) == ["Max"]


async def test_the_receipt_of_a_cancelled_job_tells_what_it_was(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client:
        both = [client.post("/add", json={"candidates": names}) for names in (["Rex"], ["Max", "Cody"])]
        cancelled = (await asyncio.gather(*both))[1].json()
        await client.delete(cancelled["links"]["self"])
    async with database.reads() as session:
        receipts = await read_receipts(session, [UUID(cancelled["id"])])
    assert receipts[UUID(cancelled["id"])].content == {"candidates": [{"name": "Max"}, {"name": "Cody"}], "values": {}}


async def test_an_unknown_job_is_a_404(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        for path in (f"/jobs/{uuid4()}", "/jobs/none"):
            for method in ("GET", "DELETE"):
                answer = await client.request(method, path)
                assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-job")


async def test_racing_the_worker_it_is_never_both(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One at a time: a worker that claims all twenty together would win or lose them together.
    monkeypatch.setattr("worker.runner.TAKE_BATCHES", 1)
    results: list[tuple[str, bool, dict[str, object]]] = []
    async with serving(database, queue) as client:

        async def submit(name: str) -> dict[str, Any]:
            job: dict[str, Any] = (await client.post("/add", json={"candidates": [name]})).json()
            return job

        async def race(name: str, job: dict[str, Any]) -> None:
            answer = await client.delete(job["links"]["self"])
            results.append((name, answer.status_code == 200, await ended(client, job)))

        for start in range(0, RACES, 20):
            jobs = {f"n{n}": await submit(f"n{n}") for n in range(start, start + 20)}
            # The worker begins at the oldest, the cancels at the newest: they meet in the middle.
            async with working(database, queue, concurrency=2):
                await asyncio.gather(*(race(name, job) for name, job in reversed(jobs.items())))
    there = set(await names_of(database))
    for name, cancelled, job in results:
        assert job["status"] == ("cancelled" if cancelled else "succeeded")
        assert (name in there) is not cancelled
