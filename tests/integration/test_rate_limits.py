"""So many requests in so much time for each key, however many apis there are."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from api import bulk_door
from shared.database import Database
from shared.queue import Queue
from shared.rates import Rate, Rates
from shared.redis import open_redis
from shared.scopes import Scope
from tests.integration.test_access import asking
from tests.keys import bearer, make_key
from tests.serving import make_test_app, serving
from tests.waiting import until

NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(count: int) -> bytes:
    return b"".join(b'{"candidates": ["n%d"]}\n' % n for n in range(count))


@asynccontextmanager
async def two_apis(database: Database, queue: Queue, **settings: Any) -> AsyncIterator[list[httpx.AsyncClient]]:
    async with serving(database, queue, **settings) as one, serving(database, queue, **settings) as other:
        yield [one, other]


async def test_a_quota_is_spent_and_comes_back(queue: Queue) -> None:
    rates, rate = Rates(queue.redis, queue.name), Rate(5, 60)
    spent = [await rates.spend("ada", rate) for _ in range(5)]
    assert [left and (left.is_paid, left.remaining) for left in spent] == [(True, n) for n in (4, 3, 2, 1, 0)]
    refused = await rates.spend("ada", rate)
    assert refused is not None
    assert (refused.is_paid, refused.remaining) == (False, 0)
    assert 11 < refused.payable_in_s <= 12, "one of five a minute comes back in twelve seconds"
    assert 59 < refused.whole_in_s <= 60
    assert (await rates.spend("bob", rate) or refused).is_paid, "buckets do not know each other"
    ttl_ms = await queue.redis.pttl(f"{queue.name}:rate:ada")
    assert 59_000 < ttl_ms <= 60_001

    async def is_back() -> bool:
        return (await rates.spend("fast", Rate(10, 10)) or refused).is_paid

    for _ in range(10):
        assert await is_back()
    assert not await is_back()
    await until(is_back)


@pytest.mark.parametrize("rate", [Rate(1_000_000, 1), Rate(7, 1), Rate(1, 86_400), Rate(999_983, 86_400)])
async def test_all_of_a_quota_can_be_spent_at_once_and_no_more(queue: Queue, rate: Rate) -> None:
    rates = Rates(queue.redis, queue.name)
    whole = await rates.spend("ada", rate, rate.quota)
    assert whole is not None
    assert (whole.is_paid, whole.remaining) == (True, 0)
    again = await rates.spend("ada", rate, rate.quota)
    assert again is not None
    assert not again.is_paid


async def test_two_apis_share_the_limit_of_a_key(sqlite_database: Database, queue: Queue) -> None:
    ada, bob = await make_key(sqlite_database, "ada"), await make_key(sqlite_database, "bob", rate="2/hour")
    async with two_apis(sqlite_database, queue, rate_limit="6/hour") as apis:
        answers = [await apis[n % 2].post("/add", headers=bearer(ada)) for n in range(8)]
        assert [answer.status_code for answer in answers] == [202] * 6 + [429] * 2
        told = answers[-1]
        assert told.json()["type"] == "/problems/rate-limited"
        assert "6/hour" in told.json()["detail"]
        assert 590 < int(told.headers["retry-after"]) <= 600
        assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"key";q=6;w=3600'] * 8
        assert [
            int((re.fullmatch(r'"key";r=(\d+);t=\d+', answer.headers["ratelimit"]) or [0, 99])[1]) for answer in answers
        ] == [5, 4, 3, 2, 1, 0, 0, 0]
        # Another key has a bucket of its own, and here a limit of its own.
        others = [await apis[n % 2].post("/add", headers=bearer(bob)) for n in range(3)]
        assert [answer.status_code for answer in others] == [202, 202, 429]
    assert await queue.depth() == 8


async def test_every_request_counts_but_those_for_everybody(sqlite_database: Database, fake_queue: Queue) -> None:
    key = bearer(await make_key(sqlite_database, "ada", Scope.READ, rate="3/hour"))
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        for path in ("/collections", "/nowhere", "/openapi.json"):
            assert "ratelimit" in (await client.get(path, headers=key)).headers
        assert (await client.get("/collections", headers=key)).status_code == 429
        for _ in range(5):
            answer = await client.get("/health/ready", headers=key)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


async def test_without_a_limit_nothing_is_told_and_redis_is_not_asked(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    key = bearer(await make_key(sqlite_database, "ada"))
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        assert "ratelimit" not in (await client.get("/collections", headers=key)).headers
    assert await fake_queue.redis.keys("*rate*") == []


async def test_without_redis_nothing_is_limited_and_nothing_breaks(sqlite_database: Database) -> None:
    key = bearer(await make_key(sqlite_database, "ada", rate="1/hour"))
    redis = open_redis("redis://127.0.0.1:1/0")
    async with asking(make_test_app(sqlite_database, Queue(redis, "test", limit=10))) as client:
        for _ in range(3):
            answer = await client.get("/collections/animals", headers=key)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
        assert (await client.post("/add", headers=key)).json()["type"] == "/problems/queue-away"
    await redis.aclose(close_connection_pool=True)


async def test_each_line_of_a_bulk_counts_as_an_add(sqlite_database: Database, fake_queue: Queue) -> None:
    key = bearer(await make_key(sqlite_database, "ada", rate="20/hour"))
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        answer = await client.post("/bulk/animals", headers=key | NDJSON, content=lines(15))
        assert (answer.status_code, answer.json()["lines"]) == (202, 15)
        answer = await client.get("/collections", headers=key)
        assert answer.headers["ratelimit"].startswith('"key";r=3;'), "twenty less a bulk, its lines and this request"


async def test_a_bulk_that_is_too_fast_is_read_more_slowly(sqlite_database: Database, fake_queue: Queue) -> None:
    key = bearer(await make_key(sqlite_database, "ada", rate="50/second"))
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        answer = await client.post("/bulk/animals", headers=key | NDJSON, content=lines(100))
        assert (answer.status_code, answer.json()["lines"]) == (202, 100)
        now = await client.get("/collections", headers=key)
        assert int(re.findall(r"r=(\d+)", now.headers["ratelimit"])[0]) < 25
    assert await fake_queue.depth() == 100


async def test_a_bulk_that_would_have_to_wait_too_long_says_how_far_it_came(
    sqlite_database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_door, "ROOM_S", 0.1)
    key = bearer(await make_key(sqlite_database, "ada", rate="11/hour"))
    once = key | NDJSON | {"Idempotency-Key": "import-1"}
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        answer = await client.post("/bulk/animals", headers=once, content=lines(12))
        assert answer.status_code == 429
        # One of the eleven was the request itself.
        assert "up to line 10:" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 300
    assert await fake_queue.depth() == 10
