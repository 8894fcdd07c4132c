"""A server that is away: the door says so or goes on, the worker waits, and the processes stay the same."""

import asyncio
from typing import Any

import httpx

from tests.faults.conftest import StartDibs
from tests.services import PrivatePostgres, PrivateRedis
from tests.serving import ended


async def test_without_postgres_adds_are_taken_in_and_done_later(
    own_postgres: PrivatePostgres, own_redis: PrivateRedis, start_dibs: StartDibs, http: httpx.AsyncClient
) -> None:
    api = start_dibs("api", own_postgres.url(), own_redis.url())
    worker = start_dibs("worker", own_postgres.url(), own_redis.url())
    http.base_url = httpx.URL(api.url)
    assert (await http.post("/add", headers={"Prefer": "wait=20"})).json()["result"]["name"] == "Max"

    await asyncio.to_thread(own_postgres.stop)
    answers = [await http.post("/add") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    jobs: list[dict[str, Any]] = [answer.json() for answer in answers]
    # Long enough for a worker that spends tries to have spent some.
    await asyncio.to_thread(worker.until_log_says, "the database is away")
    polled = (await http.get(jobs[0]["links"]["self"])).json()
    assert polled["status"] in {"queued", "running"}

    await asyncio.to_thread(own_postgres.start)
    done = [await ended(http, job) for job in jobs]
    assert sorted(job["status"] for job in done) == ["exhausted", "succeeded", "succeeded"]
    assert [job["tries"] for job in done] == [1, 1, 1]
    assert worker.process.poll() is None
    assert api.process.poll() is None
    assert worker.log.count("the database is away") == 1, "told once"


async def test_without_redis_the_door_says_so_and_all_goes_on_afterwards(
    own_postgres: PrivatePostgres, own_redis: PrivateRedis, start_dibs: StartDibs, http: httpx.AsyncClient
) -> None:
    api = start_dibs("api", own_postgres.url(), own_redis.url())
    worker = start_dibs("worker", own_postgres.url(), own_redis.url())
    http.base_url = httpx.URL(api.url)
    first = (await http.post("/add", headers={"Prefer": "wait=20"})).json()

    await asyncio.to_thread(own_redis.stop)
    answer = await http.post("/add")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert (await http.get(first["links"]["self"])).json() == first, "a receipt needs no Redis"
    await asyncio.to_thread(worker.until_log_says, "Redis is away")

    await asyncio.to_thread(own_redis.start)
    job = (await http.post("/add", headers={"Prefer": "wait=20"})).json()
    assert (job["status"], job["result"]["name"]) == ("succeeded", "Cody")
    assert worker.process.poll() is None
    assert api.process.poll() is None
    assert worker.log.count("Redis is away") == 1, "told once"


async def test_what_was_accepted_outlives_a_crash_of_redis(
    own_postgres: PrivatePostgres, own_redis: PrivateRedis, start_dibs: StartDibs, http: httpx.AsyncClient
) -> None:
    api = start_dibs("api", own_postgres.url(), own_redis.url())
    http.base_url = httpx.URL(api.url)
    jobs = [(await http.post("/add", json={"candidates": [f"n{n}"]})).json() for n in range(50)]
    await asyncio.to_thread(own_redis.kill)
    await asyncio.to_thread(own_redis.start)
    start_dibs("worker", own_postgres.url(), own_redis.url())
    done = [await ended(http, job) for job in jobs]
    assert {job["status"] for job in done} == {"succeeded"}
