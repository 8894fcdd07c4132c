"""The same key with the same add is the same job, for as long as its receipt is kept."""

import asyncio

import pytest

from shared.database import Database, open_database
from shared.queue import Queue
from tests.build import names_of
from tests.serving import WAIT, ended, read_keyring, serving, working

KEY = {"Idempotency-Key": '"order-1"'}


async def test_ten_at_once_are_one_job_and_one_row(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        answers = await asyncio.gather(*(client.post("/add", headers=KEY | WAIT) for _ in range(10)))
    jobs = [answer.json() for answer in answers]
    assert len({job["id"] for job in jobs}) == 1
    assert all(job == jobs[0] for job in jobs)
    assert await names_of(database) == ["Max"]


async def test_the_job_is_remembered_after_redis_lost_everything(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        first = (await client.post("/add", headers=KEY | WAIT)).json()
        await queue.redis.flushdb()  # the test's own logical database
        again = await client.post("/add", headers=KEY)
        assert (again.status_code, again.json()) == (200, first)
        assert await ended(client, first) == first

        await queue.redis.flushdb()
        other = await client.post("/add", headers=KEY, json={"candidates": ["Rex"]})
        assert other.status_code == 422
        assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert await names_of(database) == ["Max"]


async def test_another_add_with_the_key_is_refused_while_the_first_waits(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client:
        first = await client.post("/add", headers=KEY)
        bare = await client.post("/add", headers={"Idempotency-Key": "order-1"})
        assert bare.json() == first.json()
        spelt_out = {"candidates": [{"name": "Max"}, {"name": "Cody"}, {"name": "Robby"}]}
        assert (await client.post("/add", headers=KEY, json=spelt_out)).json() == first.json()
        assert (await client.post("/add", headers=KEY, json={"candidates": ["Max"]})).status_code == 422
    assert await queue.depth() == 1


async def test_a_refused_reuse_does_not_speak_for_the_key(database: Database, fake_queue: Queue) -> None:
    other = {"candidates": ["Rex"]}
    async with serving(database, fake_queue) as client:
        async with working(database, fake_queue):
            first = (await client.post("/add", headers=KEY | WAIT)).json()
        # Nobody works now, so whatever is queued stays queued.
        assert [(await client.post("/add", headers=KEY, json=other)).status_code for _ in range(2)] == [422, 422]
        owner = await client.post("/add", headers=KEY)
        assert (owner.status_code, owner.json()) == (200, first)
        assert (await client.post("/add", headers=KEY, json=other)).status_code == 422


async def test_without_the_database_a_keyed_submit_is_still_taken_in(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    away = open_database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    keyring = await read_keyring(sqlite_database)
    async with serving(away, fake_queue, keyring=keyring) as client:
        answer = await client.post("/add", headers=KEY)
        assert answer.status_code == 202
        assert (await client.get(answer.headers["location"])).json() == answer.json()
    await away.close()


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "ümlaut".encode(), "a\tb"])
async def test_a_key_that_is_none_is_refused(sqlite_database: Database, fake_queue: Queue, key: str | bytes) -> None:
    headers = [(b"idempotency-key", key if isinstance(key, bytes) else key.encode())]
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post("/add", headers=headers)
    assert answer.status_code == 400
    assert await fake_queue.depth() == 0
