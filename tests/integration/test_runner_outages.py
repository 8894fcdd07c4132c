"""A worker whose servers stop under it: it waits, and goes on."""

import asyncio

import pytest

from shared.contract import Status
from shared.migrate import migrate
from tests.build import ANIMALS, make_job, receipts_of
from tests.integration.working import drained, opened, submit, working
from tests.services import PrivatePostgres, PrivateRedis
from tests.waiting import until
from worker.hands import Hands
from worker.runner import Runner


@pytest.mark.postgresql
async def test_a_worker_outlives_its_redis_and_its_database() -> None:
    with PrivatePostgres() as postgres, PrivateRedis() as redis:
        await migrate(postgres.url())
        async with (
            opened(postgres.url(), redis.url()) as (database, queue),
            working(postgres.url(), redis.url()) as worker,
        ):
            jobs = [make_job(ANIMALS, [f"{n}"]) for n in range(6)]
            await submit(queue, *jobs[:2])
            await drained(queue)

            await asyncio.to_thread(redis.stop)
            await until(lambda: knows_redis_away(worker.runner))
            await asyncio.to_thread(redis.start)
            await submit(queue, *jobs[2:4])
            await drained(queue)

            await asyncio.to_thread(postgres.stop, "immediate")
            await submit(queue, *jobs[4:])
            await until(lambda: waits_for_database(worker.hands))
            await asyncio.to_thread(postgres.start)
            await drained(queue)

            receipts = (await receipts_of(database, jobs)).values()
            assert [(r.status, r.tries) for r in receipts] == [(Status.SUCCEEDED, 1)] * 6
            assert not worker.ended.done()


async def knows_redis_away(runner: Runner) -> bool:
    return runner._redis.is_told


async def waits_for_database(hands: Hands) -> bool:
    return hands.outage._return is not None and not hands.outage._return.done()


@pytest.mark.postgresql
async def test_jobs_outlive_a_redis_that_is_killed(
    postgresql_url: str,
) -> None:
    with PrivateRedis() as redis:
        jobs = [make_job(ANIMALS, [f"{n}"]) for n in range(20)]
        async with opened(postgresql_url, redis.url()) as (database, queue):
            await submit(queue, *jobs)
            await asyncio.to_thread(redis.kill)
            await asyncio.to_thread(redis.start)
            async with working(postgresql_url, redis.url()):
                await drained(queue)
            receipts = await receipts_of(database, jobs)
        assert {r.status for r in receipts.values()} == {Status.SUCCEEDED}
        assert len(receipts) == 20
