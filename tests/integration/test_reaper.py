"""Jobs that fell out of the queue get their receipts all the same."""

import asyncio

import pytest
from arq.constants import job_key_prefix

from shared.contract import Status
from shared.problems import Kind
from tests.build import ANIMALS, make_job, receipts_of
from tests.integration.delivery import deliver, enqueue
from tests.waiting import until
from worker.hands import Hands
from worker.reaper import reap, reap_for_ever


async def reaped(hands: Hands) -> int:
    return await reap(hands.queue, hands.database.writes, hands.watch.metrics)


async def lose(hands: Hands, batch: str) -> None:
    await hands.queue.redis.delete(job_key_prefix + batch)


async def test_a_job_that_waits_is_left_alone(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max"])
    await enqueue(hands, ANIMALS, [job])

    assert await reaped(hands) == 0

    assert await hands.queue.look(job.id)
    assert await receipts_of(hands.database, [job]) == {}


async def test_lost_jobs_fail_and_their_tickets_are_settled(hands: Hands) -> None:
    lost, kept = [make_job(ANIMALS, ["Max"]) for _ in range(2)], make_job(ANIMALS, ["Max"])
    await lose(hands, await enqueue(hands, ANIMALS, lost))
    await enqueue(hands, ANIMALS, [kept])

    assert await reaped(hands) == 2

    receipts = await receipts_of(hands.database, [*lost, kept])
    assert {i: r.error and r.error.kind for i, r in receipts.items()} == {job.id: Kind.LOST for job in lost}
    assert all(receipts[job.id].fingerprint == job.fingerprint for job in lost)
    assert await hands.queue.depth() == 1
    assert await reaped(hands) == 0


async def test_a_job_that_has_its_receipt_keeps_it(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])
    # As when Redis was away at the very moment of the settling.
    ticket = await hands.queue.redis.get(hands.queue.ticket_key(job.id))
    await deliver(hands, batch)
    await hands.queue.redis.set(hands.queue.ticket_key(job.id), ticket, px=60_000)
    await hands.queue.redis.zadd(hands.queue.waiting, {str(job.id): 1})
    await lose(hands, batch)

    assert await reaped(hands) == 0

    assert (await receipts_of(hands.database, [job]))[job.id].status is Status.SUCCEEDED
    assert await hands.queue.depth() == 0


async def test_a_job_that_lost_even_its_ticket_fails_once_no_batch_can_hold_it_any_more(
    hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    young, old = make_job(ANIMALS, ["Max"]), make_job(ANIMALS, ["Max"])
    for job in (young, old):
        await enqueue(hands, ANIMALS, [job])
        await hands.queue.redis.delete(hands.queue.ticket_key(job.id))
    await hands.queue.redis.zadd(hands.queue.waiting, {str(old.id): 1})

    await reaped(hands)

    receipts = await receipts_of(hands.database, [young, old])
    assert [(r.id, r.status, r.collection) for r in receipts.values()] == [(old.id, Status.FAILED, "unknown")]
    assert await hands.queue.depth() == 1
    assert str(old.id) in caplog.text


async def test_a_damaged_ticket_does_not_keep_the_other_lost_jobs_from_their_receipts(hands: Hands) -> None:
    damaged, lost = make_job(ANIMALS, ["Max"]), make_job(ANIMALS, ["Max"])
    for job in (damaged, lost):
        await lose(hands, await enqueue(hands, ANIMALS, [job]))
    await hands.queue.redis.set(hands.queue.ticket_key(damaged.id), b"no JSON", px=60_000)

    await reaped(hands)

    assert lost.id in await receipts_of(hands.database, [lost])


async def test_the_reaper_comes_again_and_again(hands: Hands) -> None:
    reaper = asyncio.create_task(reap_for_ever(hands.queue, hands.database.writes, hands.watch.metrics, every_s=0.01))
    try:
        for _ in range(2):
            job = make_job(ANIMALS, ["Max"])
            await lose(hands, await enqueue(hands, ANIMALS, [job]))

            async def is_reaped(job_id: object = job.id) -> bool:
                return await hands.queue.depth() == 0

            await until(is_reaped)
            assert (await receipts_of(hands.database, [job]))[job.id].status is Status.FAILED
    finally:
        reaper.cancel()
        await asyncio.gather(reaper, return_exceptions=True)
