"""Two worker processes and two hundred callers who all want the same hundred names."""

import asyncio
import random
from typing import Any

import httpx

from tests.faults.conftest import StartDibs
from tests.serving import ended

ADDS = 200


async def test_each_name_goes_to_one_and_the_rest_go_empty_handed(
    postgresql_url: str, redis_url: str, start_dibs: StartDibs, http: httpx.AsyncClient
) -> None:
    http.base_url = httpx.URL(start_dibs("api", postgresql_url, redis_url).url)
    workers = [start_dibs("worker", postgresql_url, redis_url) for _ in range(2)]
    names = [f"n{n:02}" for n in range(100)]
    order = random.Random(7)

    async def add() -> dict[str, Any]:
        answer = await http.post("/add", json={"candidates": order.sample(names, 100)})
        assert answer.status_code == 202
        return await ended(http, answer.json(), within_s=50)

    jobs = await asyncio.gather(*(add() for _ in range(ADDS)))
    won = [job["result"]["name"] for job in jobs if job["status"] == "succeeded"]
    assert sorted(won) == names
    assert sum(job["status"] == "exhausted" for job in jobs) == ADDS - 100
    assert {job["tries"] for job in jobs} == {1}, "no deadlock, not even a hidden one"
    for worker in workers:
        assert "again in" not in worker.log
