"""The function that arq runs, by itself: each delivery ends in receipts and settled tickets."""

from pathlib import Path

import orjson
import pytest
from arq.constants import job_key_prefix

from shared.clock import utc_now
from shared.contract import Status
from shared.news import load_news
from shared.problems import Kind
from tests.build import (
    ANIMALS,
    HANDLES,
    add_tenants,
    make_bomb,
    make_handle_job,
    make_job,
    make_payload,
    names_of,
    receipts_of,
)
from tests.integration.delivery import deliver, enqueue
from worker.hands import Hands
from worker.main import add


async def test_each_job_of_a_batch_gets_its_outcome_and_its_ticket_is_settled(hands: Hands) -> None:
    jobs = [make_job(ANIMALS, ["Max", "Cody"]) for _ in range(3)]
    batch = await enqueue(hands, ANIMALS, jobs)

    assert await deliver(hands, batch) == {"ended": 3}

    receipts = await receipts_of(hands.database, jobs)
    assert [receipts[job.id].choice for job in jobs] == [0, 1, None]
    assert [receipts[job.id].status for job in jobs] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.EXHAUSTED]
    assert {r.tries for r in receipts.values()} == {1}
    assert await hands.queue.depth() == 0
    assert [await hands.queue.look(job.id) for job in jobs] == [None] * 3


async def test_a_receipt_tells_the_submit_and_the_end(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])

    await deliver(hands, batch)

    receipt = (await receipts_of(hands.database, [job]))[job.id]
    assert receipt.submitted_at == job.submitted_at
    assert job.submitted_at <= receipt.finished_at <= utc_now()
    assert receipt.fingerprint == job.fingerprint


async def test_whoever_waits_is_told_by_name(hands: Hands) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(2)]
    batch = await enqueue(hands, ANIMALS, jobs)
    async with hands.queue.redis.pubsub() as pubsub:
        await pubsub.subscribe(hands.queue.done_channel)
        await pubsub.get_message(timeout=5)

        await deliver(hands, batch)

        told = await pubsub.get_message(timeout=5)
    assert told
    assert set(load_news(told["data"])[0]) == {str(job.id) for job in jobs}


async def test_a_batch_delivered_twice_has_one_row_and_one_answer(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    batch = await enqueue(hands, ANIMALS, [job])
    await deliver(hands, batch)
    first = await receipts_of(hands.database, [job])

    assert await deliver(hands, batch, delivery=2) == {"ended": 1}

    assert await receipts_of(hands.database, [job]) == first
    assert await names_of(hands.database) == ["Max"]


async def test_a_refused_job_fails_by_name_and_the_others_go_on(hands: Hands) -> None:
    await add_tenants(hands.database, "acme")
    good, bad = make_handle_job("acme", "ada"), make_handle_job("nobody", "bob")
    batch = await enqueue(hands, HANDLES, [bad, good])

    assert await deliver(hands, batch) == {"ended": 2}

    receipts = await receipts_of(hands.database, [good, bad])
    error = receipts[bad.id].error
    assert error
    assert (error.kind, error.constraint) == (Kind.REFUSED, "fk_handles_tenant")
    assert receipts[good.id].status is Status.SUCCEEDED
    assert await hands.queue.depth() == 0


async def test_a_job_for_a_collection_that_the_worker_does_not_know_fails(hands: Hands) -> None:
    job = make_handle_job("acme", "ada")
    del hands.collections["handles"]
    batch = await enqueue(hands, HANDLES, [job])

    assert await deliver(hands, batch) == {"ended": 1}

    receipt = (await receipts_of(hands.database, [job]))[job.id]
    assert receipt.error
    assert (receipt.collection, receipt.error.kind) == ("handles", Kind.UNKNOWN_COLLECTION)
    assert await hands.queue.depth() == 0


async def test_pickle_is_never_run_and_its_jobs_fail(hands: Hands, tmp_path: Path) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(2)]
    other = make_job(ANIMALS, ["Cody"])
    batch = await enqueue(hands, ANIMALS, jobs)
    await enqueue(hands, ANIMALS, [other])
    await hands.queue.redis.set(job_key_prefix + batch, make_bomb(tmp_path / "bang"), px=60_000)

    assert await deliver(hands, batch) == {"ended": 2}

    assert not (tmp_path / "bang").exists()
    receipts = await receipts_of(hands.database, [*jobs, other])
    assert {i: r.error and r.error.kind for i, r in receipts.items()} == {job.id: Kind.UNREADABLE for job in jobs}
    assert await hands.queue.depth() == 1


@pytest.mark.parametrize("change", [{"version": 2}, {"jobs": []}, {"jobs": [{"id": "x"}]}, {"more": 1}])
async def test_a_batch_of_another_version_fails_its_jobs(hands: Hands, change: dict[str, object]) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])
    envelope: dict[str, object] = {
        "t": None,
        "f": "add",
        "a": [make_payload(ANIMALS, [job]) | change],
        "k": {},
        "et": 0,
    }
    await hands.queue.redis.set(job_key_prefix + batch, orjson.dumps(envelope), px=60_000)

    assert await deliver(hands, batch) == {"ended": 1}

    receipt = (await receipts_of(hands.database, [job]))[job.id]
    assert receipt.error
    assert (receipt.collection, receipt.error.kind) == ("animals", Kind.UNREADABLE)
    assert receipt.fingerprint == job.fingerprint
    assert await names_of(hands.database) == []


async def test_a_stranger_in_the_queue_gets_a_receipt_by_its_own_id(hands: Hands) -> None:
    stray = make_job(ANIMALS, ["Max"])
    context = {"hands": hands, "job_id": str(stray.id), "job_try": 1}

    assert await add(context, None) == {"ended": 1}

    receipt = (await receipts_of(hands.database, [stray]))[stray.id]
    assert (receipt.status, receipt.collection) == (Status.FAILED, "unknown")


async def test_a_stranger_whose_id_is_none_of_ours_is_let_go(hands: Hands) -> None:
    assert await add({"hands": hands, "job_id": "cron:1", "job_try": 1}, None) == {"ended": 0}
