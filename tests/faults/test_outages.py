"""A server that is away: the door says so or goes on, the worker waits, and the processes stay the same."""

import asyncio
import os
import time
from typing import Any, Literal

import httpx
import pytest

from shared.tasks import cancel
from tests.faults.conftest import StartDibs
from tests.services import PrivatePostgres, PrivateRedis
from tests.serving import WAIT, ended

OUTAGE_S = float(os.environ.get("DIBS_TEST_OUTAGE_S", "3"))
"""How long a server is away; `make chaos` takes a minute."""
MANY = 20
RESUMED_S = 2.0
"""So soon after the return the first job is done."""


@pytest.mark.timeout(120 + 4 * OUTAGE_S)
@pytest.mark.parametrize("how", ["gone", "hanging"])
async def test_processes_outlive_their_servers_and_go_on_at_once(
    own_postgres: PrivatePostgres,
    own_redis: PrivateRedis,
    start_dibs: StartDibs,
    http: httpx.AsyncClient,
    how: Literal["gone", "hanging"],
) -> None:
    """First without PostgreSQL, then without Redis, with callers all the while."""
    processes = [start_dibs(command, own_postgres.url(), own_redis.url()) for command in ("api", "worker")]
    api, worker = processes
    http.base_url = httpx.URL(api.url)
    assert (await http.post("/add", json={"candidates": ["first"]}, headers=WAIT)).json()["status"] == "succeeded"

    for server, name in ((own_postgres, "the database"), (own_redis, "Redis")):
        await asyncio.to_thread(server.stop if how == "gone" else server.pause)
        accepted = await _call_for(OUTAGE_S, http)
        await asyncio.to_thread(server.start if how == "gone" else server.resume)
        back_at = time.monotonic()
        last = await http.post("/add", json={"candidates": [f"after {name}"]}, headers=WAIT)
        assert last.json()["status"] == "succeeded"
        resumed_s = time.monotonic() - back_at
        print(f"{name} {how} for {OUTAGE_S:g} s: first job done {resumed_s:.2f} s after the return")  # noqa: T201
        assert resumed_s < RESUMED_S
        for job in accepted:
            done = await ended(http, job)
            assert (done["status"], done["tries"]) == ("succeeded", 1)
        for process in processes:
            assert process.process.poll() is None
            told = process.log.count(f"{name} is away")
            assert told == process.log.count(f"{name} is back")
            assert told <= 1, "told once"
    if how == "gone":
        assert "the database is away" in worker.log
        assert "Redis is away" in worker.log
        assert "Redis is away" in api.log
    assert "Traceback" not in worker.log + api.log


async def _call_for(seconds: float, http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Submit and poll ten times a second, whatever comes of it; returns the jobs that were accepted."""
    accepted: list[dict[str, Any]] = []
    number = 0
    give_up_at = time.monotonic() + seconds

    async def call(number: int) -> None:
        answer = await http.post("/add", json={"candidates": [f"{give_up_at} {number}"]})
        assert answer.status_code in {202, 503}
        if answer.status_code == 202:
            accepted.append(answer.json())
            assert (await http.get(answer.json()["links"]["self"])).status_code in {200, 503}
        else:
            assert int(answer.headers["Retry-After"]) > 0

    calls: set[asyncio.Task[None]] = set()
    while time.monotonic() < give_up_at:
        # A server that hangs lets its callers hang as well: no more of them than a few.
        if len(calls) < MANY:
            calls.add(asyncio.create_task(call(number)))
        number += 1
        done, calls = await asyncio.wait(calls, timeout=0.1)
        for ended_call in done:
            ended_call.result()
    await cancel(calls)
    return accepted


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
