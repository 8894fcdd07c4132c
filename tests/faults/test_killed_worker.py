"""A worker that dies anywhere leaves one row and one answer, and its batch is taken up by another in time."""

import asyncio
import os
import signal
import sys
import time

import pytest

from shared.contract import Status
from shared.database import Database, open_database
from shared.points import Point
from shared.queue import Queue
from tests.build import ANIMALS, make_job, names_of, receipts_of
from tests.faults.dying import MARKED
from tests.serving import drained, working

LEASE_S = 1.0


async def die_at(command: str, point: str, database_url: str, queue: Queue) -> None:
    """Let a worker process run into its death."""
    connection = queue.redis.connection_pool.connection_kwargs
    environment = {
        **os.environ,
        "DIBS_DATABASE_URL": database_url,
        "DIBS_REDIS_URL": f"redis://{connection['host']}:{connection['port']}/{connection['db']}",
        "DIBS_QUEUE_NAME": queue.name,
        "DIBS_LEASE_S": str(LEASE_S),
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.dying", command, point, env=environment
    )
    async with asyncio.timeout(30):
        assert await worker.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("command", "point"), [("worker", Point.LEASED), ("worker", Point.COMMITTED), ("arq", MARKED)])
async def test_after_a_kill_there_is_one_row_and_one_answer(
    database: Database, database_url: str, redis_queue: Queue, command: str, point: str
) -> None:
    job = make_job(ANIMALS, ["Max", "Cody", "Robby"])
    await redis_queue.submit("animals", [job])
    await die_at(command, point, database_url, redis_queue)
    left_behind = await receipts_of(database, [job])
    assert (job.id in left_behind) is (point != Point.LEASED)
    assert await redis_queue.redis.zcard(redis_queue.batches) == 1, "arq has not marked it done"

    # A second add stands behind it, so that a wrong redelivery would take Cody away from it.
    second = make_job(ANIMALS, ["Max", "Cody"])
    await redis_queue.submit("animals", [second])
    killed_at = time.monotonic()
    async with working(database, redis_queue):
        await drained(redis_queue)
    assert time.monotonic() - killed_at < 5, "taken up by another within 5 s"

    receipts = await receipts_of(database, [job, second])
    if left_behind:
        assert receipts[job.id] == left_behind[job.id]
    assert {r.status for r in receipts.values()} == {Status.SUCCEEDED}
    assert await names_of(database) == ["Cody", "Max"]
    assert await redis_queue.depth() == 0


async def test_two_workers_with_the_same_batch_at_the_same_moment(
    database: Database, database_url: str, redis_queue: Queue
) -> None:
    """A lease that ran out under a living worker: both run the batch, and both come to the same answer."""
    other = open_database(database_url)
    jobs = [make_job(ANIMALS, [f"a{n}", f"b{n}", f"c{n}"]) for n in range(10)]
    for _ in range(2):
        await redis_queue.submit("animals", jobs)
        await redis_queue.redis.delete(*(redis_queue.ticket_key(job.id) for job in jobs))
    assert await redis_queue.redis.zcard(redis_queue.batches) == 2
    async with working(database, redis_queue), working(other, redis_queue):
        await drained(redis_queue)
    await other.close()
    receipts = await receipts_of(database, jobs)
    assert [r.status for r in receipts.values()] == [Status.SUCCEEDED] * 10
    assert await names_of(database) == [f"a{n}" for n in range(10)]
