"""SIGTERM: what is finished, what is handed back, and how long that may take, whatever the servers do meanwhile."""

import asyncio
import signal
import time
from contextlib import suppress

import pytest

from shared.contract import Status
from shared.database import Database, open_database
from shared.queue import Queue
from tests.build import ANIMALS, make_job, receipts_of
from tests.face.processes import Running
from tests.faults.conftest import StartDibs
from tests.integration.working import opened
from tests.services import PrivatePostgres, PrivateRedis
from tests.serving import drained, working
from tests.waiting import held_name, until

pytestmark = pytest.mark.postgresql


async def is_leased(queue: Queue) -> bool:
    return bool([key async for key in queue.redis.scan_iter("arq:in-progress:*")])


async def ended_within(process: Running, seconds: float) -> int:
    begun = time.monotonic()
    code = await asyncio.to_thread(process.ended)
    assert time.monotonic() - begun < seconds
    return code


@pytest.mark.parametrize("signals", [1, 2])
async def test_what_cannot_be_finished_is_handed_back_and_spends_no_try(
    postgresql_database: Database,
    postgresql_url: str,
    redis_url: str,
    redis_queue: Queue,
    start_dibs: StartDibs,
    signals: int,
) -> None:
    """With the grace period over, or at once at the second signal."""
    job = make_job(ANIMALS, ["Max", "Cody"])
    names = {"DIBS_QUEUE_NAME": redis_queue.name, "DIBS_GRACE_S": "0.5" if signals == 1 else "300"}
    worker = start_dibs("worker", postgresql_url, redis_url, **names)
    async with held_name(postgresql_database, "Max"):
        await redis_queue.submit("animals", [job])
        await until(lambda: is_leased(redis_queue))
        worker.tell(signal.SIGTERM)
        if signals == 2:
            await asyncio.to_thread(worker.until_log_says, "SIGTERM")
            worker.tell(signal.SIGTERM)
        assert await ended_within(worker, 3) == 0
        assert not await is_leased(redis_queue), "nobody waits for its lease to run out"
        [delivery] = (await redis_queue.take(1, 5)).deliveries
        assert (delivery.number, delivery.deaths, delivery.spent) == (2, 0, 0)
        await redis_queue.hand_back([delivery.batch], 0)
    async with working(postgresql_database, redis_queue):
        await drained(redis_queue)
    receipt = (await receipts_of(postgresql_database, [job]))[job.id]
    assert (receipt.status, receipt.choice, receipt.tries) == (Status.SUCCEEDED, 0, 1)


@pytest.mark.parametrize(("frozen", "signals"), [("PostgreSQL", 2), ("Redis", 2), ("PostgreSQL", 1)])
async def test_a_stop_ends_although_a_server_hangs(
    own_postgres: PrivatePostgres, own_redis: PrivateRedis, start_dibs: StartDibs, frozen: str, signals: int
) -> None:
    """The connection stands and nothing answers: what the worker held is taken up by another, and nothing is lost."""
    server = own_postgres if frozen == "PostgreSQL" else own_redis
    job = make_job(ANIMALS, ["Max", "Cody"])
    async with opened(own_postgres.url(), own_redis.url()) as (database, queue):
        grace_s = {1: "0", 2: "300"}[signals]
        names = {"DIBS_QUEUE_NAME": queue.name, "DIBS_GRACE_S": grace_s, "DIBS_LEASE_S": "1"}
        worker = start_dibs("worker", own_postgres.url(), own_redis.url(), **names)
        with suppress(RuntimeError):
            async with held_name(database, "Max"):
                await queue.submit("animals", [job])
                await until(lambda: is_leased(queue))
                server.pause()
                worker.tell(signal.SIGTERM)
                await asyncio.to_thread(worker.until_log_says, "SIGTERM")
                if signals == 2:
                    worker.tell(signal.SIGTERM)
                try:
                    assert await ended_within(worker, 7) == 0
                finally:
                    server.resume()
        async with working(database, queue):
            await drained(queue)
        receipt = (await receipts_of(database, [job]))[job.id]
        assert (receipt.status, receipt.choice, receipt.tries) == (Status.SUCCEEDED, 0, 1)


async def test_a_worker_that_stood_still_for_longer_than_its_lease_commits_nothing_twice(
    postgresql_database: Database, postgresql_url: str, redis_url: str, redis_queue: Queue, start_dibs: StartDibs
) -> None:
    """Its batch is done by another; it wakes in the middle of its claim, and what it then says changes nothing."""
    other = open_database(postgresql_url)
    first, second = (make_job(ANIMALS, ["Max", "Cody"]) for _ in range(2))
    names = {"DIBS_QUEUE_NAME": redis_queue.name, "DIBS_LEASE_S": "1"}
    sleeper = start_dibs("worker", postgresql_url, redis_url, **names)
    async with held_name(postgresql_database, "Max"):
        await redis_queue.submit("animals", [first])
        await until(lambda: is_leased(redis_queue))
        sleeper.tell(signal.SIGSTOP)
        # Its insert waits in the server for the name, and goes on there once that is free.
    async with working(other, redis_queue):
        # Another takes the batch up when the lease has run out, and waits for the sleeper's open transaction.
        await redis_queue.submit("animals", [second])
        await until(lambda: is_taken_again(redis_queue))
        sleeper.tell(signal.SIGCONT)
        await drained(redis_queue)
    await asyncio.to_thread(sleeper.stop)
    await other.close()

    receipts = await receipts_of(postgresql_database, [first, second])
    assert sorted(str(receipt.choice) for receipt in receipts.values()) == ["0", "1"]
    assert {receipt.status for receipt in receipts.values()} == {Status.SUCCEEDED}
    assert "Traceback" not in sleeper.log
    left = {key.decode().split(":")[1] async for key in redis_queue.redis.scan_iter() if b":worker" not in key}
    assert left - {"idle"} == {"minute"}


async def is_taken_again(queue: Queue) -> bool:
    counts = [await queue.redis.get(key) async for key in queue.redis.scan_iter("arq:retry:*")]
    return b"2" in counts
