"""The worker's main loop on a real Redis and PostgreSQL: shares, wakes, keeps its leases."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from random import Random

import pytest
from arq.worker import Worker

from shared.contract import Job, Status
from shared.database import Database
from shared.queue import Queue
from shared.tickets import Taken
from tests.build import ANIMALS, make_job, make_settings, names_of, receipts_of
from tests.integration.working import QUEUE_NAME, Working, drained, is_held, is_idle, lose_lease, submit, working
from tests.waiting import held_name, until
from worker.main import arq_settings
from worker.runner import SOON_S, Runner


@pytest.mark.postgresql
async def test_two_workers_give_each_of_a_hundred_names_once(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue]
) -> None:
    database, queue = caller
    names = [f"name {n:03}" for n in range(100)]
    random = Random(7)
    jobs = [make_job(ANIMALS, random.sample(names, 100)) for _ in range(200)]

    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(working(postgresql_url, redis_url))
        await asyncio.gather(*(submit(queue, job) for job in jobs))
        await drained(queue)

    receipts = (await receipts_of(database, jobs)).values()
    assert Counter(r.status for r in receipts) == {Status.SUCCEEDED: 100, Status.EXHAUSTED: 100}
    assert sorted(r.result["name"] for r in receipts if r.result) == names == await names_of(database)
    assert all(job.candidates[r.choice]["name"] == r.result["name"] for job in jobs for r in receipts
               if r.id == job.id and r.result and r.choice is not None)  # fmt: skip


@pytest.mark.postgresql
async def test_a_drained_queue_leaves_nothing_of_its_jobs_in_redis(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue]
) -> None:
    _, queue = caller
    async with working(postgresql_url, redis_url) as worker:
        await submit(queue, *(make_job(ANIMALS, ["Max", "Cody"]) for _ in range(5)))
        await drained(queue)
        await until(lambda: has_no_tasks(worker.runner))
        left = {key async for key in queue.redis.scan_iter() if b":minute:" not in key}
    names = {f"{queue.name}:workers".encode(), f"{queue.name}:idle".encode()}
    assert left - names == {queue.worker_key(worker.hands.pulse.name).encode()}


async def has_no_tasks(runner: Runner) -> bool:
    return not runner._running


@pytest.mark.postgresql
async def test_an_idle_worker_is_woken_by_a_submit(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue]
) -> None:
    _, queue = caller
    async with working(postgresql_url, redis_url, poll_delay_s=60):
        await until(lambda: is_idle(queue))
        await submit(queue, make_job(ANIMALS, ["Max"]))
        async with asyncio.timeout(10):
            await drained(queue)


@pytest.mark.postgresql
async def test_a_worker_with_a_claim_that_waits_looks_no_more_often_than_an_idle_one(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, queue = caller
    async with working(postgresql_url, redis_url, poll_delay_s=60) as worker:
        async with held_name(database, "Max"):
            await submit(queue, make_job(ANIMALS, ["Max"]))
            await until(lambda: is_held(worker.hands))
            await until(lambda: is_idle(queue))
            taking = CountedTake(worker.hands.queue)
            monkeypatch.setattr(worker.hands.queue, "take", taking.take)

            await asyncio.sleep(10 * SOON_S)

            assert taking.times <= 1, "one look may still have been due"
        await drained(queue)


class CountedTake:
    def __init__(self, queue: Queue) -> None:
        self._take = queue.take
        self.times = 0

    async def take(self, count: int, lease_s: float, *, listens: bool) -> Taken:
        self.times += 1
        return await self._take(count, lease_s, listens=listens)


async def tells_of(worker: Working, batch: str) -> bool:
    [shown] = await worker.hands.queue.workers()
    return [(running.batch, running.collection, running.jobs) for running in shown.running] == [(batch, "animals", 1)]


@pytest.mark.postgresql
async def test_a_running_batch_keeps_its_lease(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue]
) -> None:
    database, queue = caller
    # One at a time: else the worker itself would take up what it loses.
    async with working(postgresql_url, redis_url, concurrency=1) as worker:
        async with held_name(database, "Max"):
            await submit(queue, make_job(ANIMALS, ["Max"]))
            await until(lambda: is_held(worker.hands))
            [batch] = worker.hands.pulse._held
            await until(lambda: tells_of(worker, batch))
            key = f"arq:in-progress:{batch}"

            async def has_time_left(at_least_ms: int, at_most_ms: int) -> bool:
                return at_least_ms <= int(await queue.redis.pttl(key)) <= at_most_ms

            # Of a lease of a second, twice it is seen to go down and up again.
            for _ in range(2):
                await until(lambda: has_time_left(1, 900), patience_s=5)
                await until(lambda: has_time_left(901, 1000), patience_s=5)
        await drained(queue)


@pytest.mark.postgresql
async def test_a_batch_whose_lease_was_lost_is_not_run_twice_at_once_by_the_same_worker(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue], caplog: pytest.LogCaptureFixture
) -> None:
    database, queue = caller
    slow, quick = make_job(ANIMALS, ["Max"]), make_job(ANIMALS, ["Cody"])
    async with working(postgresql_url, redis_url) as worker:
        async with held_name(database, "Max"):
            await submit(queue, slow)
            await until(lambda: is_held(worker.hands))
            [batch] = worker.hands.pulse._held
            await lose_lease(queue, batch)
            await submit(queue, quick)
            await until(lambda: has_receipt(database, quick))

            assert batch in worker.runner._mine
            await until(lambda: is_excused(queue, batch))
        await drained(queue)
        await until(lambda: has_no_tasks(worker.runner))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def is_excused(queue: Queue, batch: str) -> bool:
    """It was handed out again, and nobody died of it."""
    return await queue.progress(batch) == (0, 1)


async def has_receipt(database: Database, job: Job) -> bool:
    return job.id in await receipts_of(database, [job])


@pytest.mark.postgresql
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # arq's own, of the redis client
async def test_arqs_own_worker_drains_the_queue_too(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue]
) -> None:
    database, queue = caller
    jobs = [make_job(ANIMALS, ["Max", "Cody"]) for _ in range(3)]
    await submit(queue, *jobs)
    chosen = make_settings(database_url=postgresql_url, redis_url=redis_url, queue_name=QUEUE_NAME)
    options = {name: value for name, value in vars(arq_settings(chosen)).items() if not name.startswith("__")}
    worker = Worker(**options, burst=True, handle_signals=False)
    try:
        await worker.async_run()
    finally:
        await worker.close()

    receipts = await receipts_of(database, jobs)
    assert sorted(r.status for r in receipts.values()) == [Status.EXHAUSTED, Status.SUCCEEDED, Status.SUCCEEDED]
    assert await queue.depth() == 0
    assert not [key async for key in queue.redis.scan_iter("arq:*") if b"health" not in key]
