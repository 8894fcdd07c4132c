"""The queue, on fakeredis and a real Redis alike."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix

from shared.contract import Batch, Job, Status
from shared.ids import new_id
from shared.news import load_news, load_receipts
from shared.payload import read_batch
from shared.queue import KEEP_TICKET, Queue, QueueFull
from shared.receipts import Receipt
from tests.build import ANIMALS, make_job, make_payload
from tests.waiting import until


async def stored(queue: Queue) -> dict[bytes, bytes]:
    """Every key with what it holds, so far as that is text."""
    keys = [key async for key in queue.redis.scan_iter()]
    return {key: await queue.redis.get(key) if b"ticket" in key or b"arq:job:" in key else b"" for key in keys}


async def assert_all_end(queue: Queue) -> None:
    """Every key has a time to live, and none more than a ticket's."""
    keys = [key async for key in queue.redis.scan_iter()]
    left = {key: await queue.redis.pttl(key) for key in keys}
    longest_ms = KEEP_TICKET.total_seconds() * 1000
    assert left
    assert {key: ms for key, ms in left.items() if not 0 < ms <= longest_ms} == {}


async def batch_of(queue: Queue, job: UUID) -> str:
    waiting = await queue.look(job)
    assert waiting
    return str(waiting.ticket.batch)


async def taken(queue: Queue, count: int = 10, lease_s: float = 5) -> list[str]:
    return [delivery.batch for delivery in (await queue.take(count, lease_s)).deliveries]


async def test_a_submit_is_one_batch_of_its_jobs_in_their_order(queue: Queue) -> None:
    jobs = [make_job(ANIMALS, ["Max", "Zoë 🐈"]) for _ in range(3)]

    submitted = await queue.submit("animals", jobs)

    assert [(s.id, s.held) for s in submitted] == [(job.id, None) for job in jobs]
    [batch] = await taken(queue)
    payload = await queue.redis.get(job_key_prefix + batch)
    assert read_batch(payload) == Batch(collection="animals", jobs=jobs)
    assert orjson.loads(payload)["a"][0] == make_payload(ANIMALS, jobs)


async def test_a_job_that_waits_is_queued(queue: Queue) -> None:
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])

    waiting = await queue.look(job.id)

    assert waiting
    assert (waiting.id, waiting.status, waiting.tries) == (job.id, Status.QUEUED, 0)
    assert waiting.ticket.fingerprint == job.fingerprint
    assert waiting.ticket.submitted_at == job.submitted_at
    assert await queue.look(new_id()) is None


async def test_the_same_job_is_taken_in_once_and_its_ticket_is_returned(queue: Queue) -> None:
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])
    before = await stored(queue)
    other_add = make_job(ANIMALS, ["Cody"], job_id=job.id)

    [again] = await queue.submit("animals", [other_add])

    assert again.held
    assert again.held.fingerprint == job.fingerprint
    assert await stored(queue) == before


async def test_a_submit_of_old_and_new_jobs_takes_in_the_new(queue: Queue) -> None:
    old, new = make_job(ANIMALS, ["Max"]), make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [old])
    first = await batch_of(queue, old.id)

    submitted = await queue.submit("animals", [old, new])

    assert [s.held is not None for s in submitted] == [True, False]
    second = await batch_of(queue, new.id)
    assert await batch_of(queue, old.id) == first != second
    content = read_batch(await queue.redis.get(job_key_prefix + second))
    assert content
    assert [job.id for job in content.jobs] == [new.id]


async def test_an_id_twice_in_one_submit_is_taken_in_once(queue: Queue) -> None:
    first = make_job(ANIMALS, ["Max"])
    second = make_job(ANIMALS, ["Cody"], job_id=first.id)

    submitted = await queue.submit("animals", [first, second])

    assert submitted[0].held is None
    assert submitted[1].held
    assert submitted[1].held.fingerprint == first.fingerprint
    [batch] = await taken(queue)
    content = read_batch(await queue.redis.get(job_key_prefix + batch))
    assert content
    assert [job.fingerprint for job in content.jobs] == [first.fingerprint]
    assert await queue.depth() == 1


async def test_a_full_queue_takes_in_nothing_of_a_submit(queue: Queue) -> None:
    queue.limit = 3
    await queue.submit("animals", [make_job(ANIMALS, ["Max"]) for _ in range(2)])
    before = await stored(queue)

    with pytest.raises(QueueFull):
        await queue.submit("animals", [make_job(ANIMALS, ["Max"]) for _ in range(2)])

    assert await stored(queue) == before
    await queue.submit("animals", [make_job(ANIMALS, ["Max"])])
    assert await queue.depth() == 3


async def test_a_full_queue_still_knows_the_jobs_it_has(queue: Queue) -> None:
    queue.limit = 1
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])

    [again] = await queue.submit("animals", [job])

    assert again.held


async def test_every_key_ends_by_itself_at_every_stage(queue: Queue) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(3)]
    await queue.submit("animals", jobs)
    await assert_all_end(queue)
    [batch] = await taken(queue)
    await assert_all_end(queue)
    await queue.spend_try([batch])
    await queue.excuse([batch])
    await assert_all_end(queue)
    await queue.scatter(Batch(collection="animals", jobs=jobs))
    await assert_all_end(queue)
    await queue.settle([ended(jobs[0])], batch)
    await assert_all_end(queue)
    await queue.finish([batch], [ended(jobs[1])])
    await assert_all_end(queue)


async def test_scattered_jobs_end_by_themselves_though_another_worker_emptied_the_queue(queue: Queue) -> None:
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])
    [batch] = await taken(queue)
    await queue.redis.zrem(queue.batches, batch)

    await queue.scatter(Batch(collection="animals", jobs=[job]))

    await assert_all_end(queue)


def ended(job: Job) -> Receipt:
    return Receipt.exhausted(job, "animals", tries=1)


async def test_settling_forgets_the_jobs_and_tells_who_waits(queue: Queue) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(3)]
    await queue.submit("animals", jobs)
    batch = await batch_of(queue, jobs[0].id)
    await queue.spend_try([batch])
    async with queue.redis.pubsub() as pubsub:
        await pubsub.subscribe(queue.done_channel)
        await pubsub.get_message(timeout=5)

        await queue.settle([ended(job) for job in jobs[:2]], batch)

        told = await pubsub.get_message(timeout=5)
    assert told
    ids, receipts = load_news(told["data"])
    assert ids == [str(job.id) for job in jobs[:2]]
    assert [receipt.id for receipt in load_receipts(receipts)] == [job.id for job in jobs[:2]]
    assert [await queue.look(job.id) is None for job in jobs] == [True, True, False]
    assert await queue.depth() == 1
    assert await queue.progress(batch) == (0, 0)


async def test_a_submit_rings_the_bell(queue: Queue) -> None:
    async with queue.redis.pubsub() as pubsub:
        await pubsub.subscribe(queue.wake_channel)
        await pubsub.get_message(timeout=5)
        await queue.submit("animals", [make_job(ANIMALS, ["Max"])])
        assert await pubsub.get_message(timeout=5)


async def test_a_batch_is_leased_once(queue: Queue) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(10)]
    for job in jobs:
        await queue.submit("animals", [job])

    hauls = await asyncio.gather(*(taken(queue, 4) for _ in range(4)))

    assert sorted(len(haul) for haul in hauls) == [0, 2, 4, 4]
    assert len({batch for haul in hauls for batch in haul}) == 10
    looked = [await queue.look(job.id) for job in jobs]
    assert {waiting.status for waiting in looked if waiting} == {Status.RUNNING}


async def test_the_oldest_batches_are_leased_first(queue: Queue) -> None:
    await queue.redis.zadd(queue.batches, {"young": 30, "old": 10, "middle": 20})
    await queue.redis.pexpire(queue.batches, 60_000)
    assert [await taken(queue, 1) for _ in range(4)] == [["old"], ["middle"], ["young"], []]


async def test_a_batch_that_may_not_run_yet_is_not_leased(queue: Queue) -> None:
    await queue.redis.zadd(queue.batches, {"later": 10**15})
    await queue.redis.pexpire(queue.batches, 60_000)
    assert await taken(queue) == []


async def test_free_batches_behind_many_leased_ones_are_found(queue: Queue) -> None:
    await queue.redis.zadd(queue.batches, {f"{n:03}": n + 1 for n in range(250)})
    await queue.redis.pexpire(queue.batches, 60_000)
    assert len(await taken(queue, 240)) == 240
    assert await taken(queue, 5) == ["240", "241", "242", "243", "244"]


async def test_a_batch_whose_lease_ran_out_is_leased_again(queue: Queue) -> None:
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])
    [batch] = await taken(queue, lease_s=0.05)

    async def again() -> bool:
        return await taken(queue) == [batch]

    await until(again, patience_s=5)
    assert 0 < await queue.redis.pttl(in_progress_key_prefix + batch) <= 5000


async def test_scattered_jobs_are_batches_of_one(queue: Queue) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(3)]
    await queue.submit("animals", jobs)
    [whole] = await taken(queue)

    await queue.scatter(Batch(collection="animals", jobs=jobs))

    alone = await taken(queue)
    assert len(alone) == 3
    assert {await batch_of(queue, job.id) for job in jobs} == set(alone)
    for batch in alone:
        content = read_batch(await queue.redis.get(job_key_prefix + batch))
        assert content
        [job] = content.jobs
        assert await batch_of(queue, job.id) == batch
    assert whole not in alone
    assert await queue.depth() == 3


async def test_tries_and_excuses_are_counted_apart(queue: Queue) -> None:
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])
    batch = await batch_of(queue, job.id)
    assert await queue.progress(batch) == (0, 0)
    await queue.excuse([batch])
    assert await queue.progress(batch) == (0, 1)
    # A try that was spent ended in order: nobody died.
    await queue.spend_try([batch])
    assert await queue.progress(batch) == (1, 2)


async def test_of_a_batch_that_another_worker_finished_nothing_is_counted(queue: Queue) -> None:
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])
    [batch] = await taken(queue)
    await queue.finish([batch], [Receipt.exhausted(job, "animals", tries=1)])
    await queue.redis.delete(*[key async for key in queue.redis.scan_iter(f"{queue.name}:minute:*")])

    await queue.start([batch])
    await queue.excuse([batch])
    await queue.spend_try([batch])

    assert await stored(queue) == {}


async def test_what_is_handed_out_again_and_only_waits_is_nobodys_death(queue: Queue) -> None:
    await queue.submit("animals", [make_job(ANIMALS, ["Max"])])
    seen = []
    for starts in (True, False, False, True, False):
        [delivery] = (await queue.take(1, 5)).deliveries
        seen.append((delivery.number, delivery.deaths))
        if starts and delivery.number > 1:
            await queue.start([delivery.batch])
        await queue.redis.delete(in_progress_key_prefix + delivery.batch)
    # It died of the first, which nobody watches, and of the fourth.
    assert seen == [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2)]


async def test_who_finds_everything_leased_is_told_when_to_look_again(queue: Queue) -> None:
    assert await queue.take(1, 5) == ([], None)
    for lease_s in (8, 2):
        await queue.submit("animals", [make_job(ANIMALS, ["Max"])])
        assert len((await queue.take(1, lease_s)).deliveries) == 1

    deliveries, look_again_s = await queue.take(1, 5)

    assert deliveries == []
    assert look_again_s
    assert 1 < look_again_s <= 2


async def test_a_batch_that_another_worker_holds_by_now_is_not_handed_back(queue: Queue) -> None:
    await queue.submit("animals", [make_job(ANIMALS, ["Max"])])
    [batch] = await taken(queue)
    await queue.redis.delete(in_progress_key_prefix + batch)
    other = Queue(queue.redis, queue.name, limit=queue.limit)
    assert await taken(other) == [batch]

    await queue.hand_back([batch], 0)

    assert await taken(queue) == []
    await other.hand_back([batch], 0)
    assert await taken(queue) == [batch]


async def test_a_queue_that_is_nearly_full_takes_in_as_many_as_there_is_room_for(queue: Queue) -> None:
    queue.limit = 3
    known = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [known])
    jobs = [known, *(make_job(ANIMALS, ["Max"]) for _ in range(4))]

    answers = await queue.submit("animals", [*jobs, jobs[1], jobs[4]], partly=True)

    assert [answer.room for answer in answers] == [True, True, True, False, False, True, False]
    assert [answer.held is not None for answer in answers] == [True, False, False, False, False, True, False]
    assert await queue.depth() == 3
    assert [await queue.look(job.id) is not None for job in jobs] == [True, True, True, False, False]


async def test_an_answer_that_got_lost_is_the_same_when_it_is_asked_for_again(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.limit = 2
    known = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [known])
    jobs = [known, *(make_job(ANIMALS, ["Max"]) for _ in range(2))]
    batch = new_id()
    monkeypatch.setattr("shared.queue.new_id", lambda: batch)

    first = await queue.submit("animals", jobs, partly=True)
    again = await queue.submit("animals", jobs, partly=True)

    assert first == again
    assert [(one.room, one.held is not None) for one in again] == [(True, True), (True, False), (False, False)]


async def test_the_oldest_jobs_are_told_first_and_a_lost_ticket_by_its_id(queue: Queue) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(3)]
    for place, job in enumerate(jobs):
        await queue.submit("animals", [job])
        await queue.redis.zadd(queue.waiting, {str(job.id): place})
    await queue.redis.delete(queue.ticket_key(jobs[0].id))

    (lost, since, nothing), (second, _, waiting) = await queue.oldest(2)

    assert (lost, since, nothing) == (jobs[0].id, datetime.fromtimestamp(0, UTC), None)
    assert waiting
    assert second == waiting.id == jobs[1].id


async def test_the_jobs_of_a_batch_are_found_by_their_tickets(queue: Queue) -> None:
    mine, other = [make_job(ANIMALS, ["Max"]) for _ in range(3)], make_job(ANIMALS, ["Max"])
    await queue.submit("animals", mine)
    await queue.submit("animals", [other])

    found = await queue.waiting_of(await batch_of(queue, mine[0].id))

    assert {waiting.id for waiting in found} == {job.id for job in mine}


@pytest.mark.parametrize("lost", ["payload", "place"])
async def test_a_batch_without_payload_or_place_is_not_held(queue: Queue, lost: str) -> None:
    job = make_job(ANIMALS, ["Max"])
    await queue.submit("animals", [job])
    batch = UUID(await batch_of(queue, job.id))
    assert await queue.holds(batch)

    if lost == "payload":
        await queue.redis.delete(f"{job_key_prefix}{batch}")
    else:
        await queue.redis.zrem(queue.batches, str(batch))

    assert not await queue.holds(batch)


async def test_what_stands_in_redis_is_json(queue: Queue) -> None:
    await queue.submit("animals", [make_job(ANIMALS, ["Max"])])
    for content in (await stored(queue)).values():
        assert not content or orjson.loads(content)
