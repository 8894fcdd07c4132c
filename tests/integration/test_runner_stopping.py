"""A worker that is told to stop: finishes what it can, hands back the rest, leaves nothing running."""

import asyncio

import pytest

from shared.contract import Status
from shared.database import Database, open_database
from shared.queue import Queue
from shared.tickets import Taken
from tests.build import ANIMALS, make_hands, make_job, make_settings, receipts_of
from tests.integration.working import drained, is_held, is_idle, is_running, submit, working
from tests.waiting import held_name, until
from worker.main import make_runner


@pytest.mark.postgresql
async def test_a_stopping_worker_finishes_what_it_has(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue]
) -> None:
    database, queue = caller
    job = make_job(ANIMALS, ["Max", "Cody"])
    async with working(postgresql_url, redis_url) as worker:
        async with held_name(database, "Max"):
            await submit(queue, job)
            await until(lambda: is_running(queue, job))
            worker.stop()
        await worker.ended

    assert (await receipts_of(database, [job]))[job.id].choice == 0
    assert await queue.depth() == 0


@pytest.mark.postgresql
async def test_a_worker_out_of_time_hands_back_what_it_has_without_a_try_spent(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue]
) -> None:
    database, queue = caller
    job = make_job(ANIMALS, ["Max", "Cody"])
    async with held_name(database, "Max"):
        async with working(postgresql_url, redis_url, grace_s=0) as first:
            await submit(queue, job)
            await until(lambda: is_held(first.hands))
        waiting = await queue.look(job.id)
        assert waiting
        assert (waiting.status, waiting.tries) == (Status.QUEUED, 0)

    async with working(postgresql_url, redis_url):
        await drained(queue)

    receipt = (await receipts_of(database, [job]))[job.id]
    assert (receipt.status, receipt.choice, receipt.tries) == (Status.SUCCEEDED, 0, 1)


@pytest.mark.postgresql
async def test_a_batch_that_is_taken_while_the_worker_stops_does_not_outlive_it(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, queue = caller
    first, late = make_job(ANIMALS, ["Max"]), make_job(ANIMALS, ["Cody"])
    async with held_name(database, "Cody"), working(postgresql_url, redis_url, grace_s=1) as worker:
        async with held_name(database, "Max"):
            await submit(queue, first)
            await until(lambda: is_held(worker.hands))
            under_way = HeldTake(worker.hands.queue)
            monkeypatch.setattr(worker.hands.queue, "take", under_way.take)
            await queue.redis.delete(f"{queue.name}:idle")  # or it would be handed over, and not be taken
            await submit(queue, late)
            await under_way.taken.wait()
            worker.stop()
            under_way.answer.set()
            await until(lambda: is_running(queue, late))
        await worker.ended

        assert worker.runner._running == set()


@pytest.mark.postgresql
async def test_what_is_handed_over_in_the_last_moment_is_done_and_nobody_has_died_of_it(
    postgresql_url: str, redis_url: str, caller: tuple[Database, Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, queue = caller
    late = make_job(ANIMALS, ["Max"])
    async with working(postgresql_url, redis_url, poll_delay_s=60) as worker:
        leave = worker.hands.queue.leave

        async def leave_late() -> None:
            await submit(queue, late)
            await leave()

        monkeypatch.setattr(worker.hands.queue, "leave", leave_late)
        await until(lambda: is_idle(queue))
        worker.stop()
        await worker.ended

    assert (await receipts_of(database, [late]))[late.id].tries == 1
    assert await queue.redis.zcard(queue.batches) == 0


class HeldTake:
    """A take whose answer, once there is one, stays on its way until it is let go."""

    def __init__(self, queue: Queue) -> None:
        self._take = queue.take
        self.taken = asyncio.Event()
        self.answer = asyncio.Event()

    async def take(self, count: int, lease_s: float, *, listens: bool) -> Taken:
        taken = await self._take(count, lease_s)
        if taken.deliveries:
            self.taken.set()
            await self.answer.wait()
        return taken


@pytest.mark.parametrize("drain", [True, False])
async def test_a_worker_that_drains_empties_the_queue_before_it_stops(
    sqlite_url: str, fake_queue: Queue, *, drain: bool
) -> None:
    database = open_database(sqlite_url)
    hands = make_hands(database, fake_queue, concurrency=1)
    runner = make_runner(make_settings(concurrency=1), hands)
    jobs = [make_job(ANIMALS, [f"n{n}"]) for n in range(3)]
    stop = asyncio.Event()
    try:
        async with held_name(database, "Robby"):
            running = asyncio.create_task(runner.run_until(stop, grace_s=10, drain=drain))
            await submit(fake_queue, jobs[0])
            await until(lambda: is_held(hands))
            stop.set()
            await submit(fake_queue, *jobs[1:])
        await running
        assert await fake_queue.depth() == (0 if drain else 2)
    finally:
        await hands.outage.close()
        await database.close()
