"""What /metrics says after a known run, to the last job; and that it answers whatever is away."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from shared.collections import Collection
from shared.contract import Job
from shared.database import Database
from shared.metrics import Metrics
from shared.queue import Queue
from shared.redis import open_redis
from tests.build import ANIMALS, COLLECTIONS, HANDLES, add_tenants, make_handle_job, make_hands, make_job
from tests.integration.delivery import deliver, enqueue
from tests.services import free_port
from tests.serving import WAIT, ended, serving, working
from tests.waiting import held_name, impatient, until
from worker.hands import Again, Hands
from worker.main import at_work

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(COLLECTIONS)


def samples_of(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def told(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """What is not zero of `name`, by the values of its labels in the order of their names."""
    return {
        tuple(value for _, value in sorted(labels)): value
        for (found, labels), value in samples.items()
        if found == name and value
    }


async def scraped(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples_of(answer.text)


def exposed(metrics: Metrics) -> Samples:
    body, _ = metrics.expose()
    return samples_of(body.decode())


async def test_a_known_run_is_counted_to_the_last_job(database: Database, fake_queue: Queue, metrics: Metrics) -> None:
    await add_tenants(database, "acme")
    refused = {"candidates": [{"handle": "max"}], "values": {"tenant": "nobody", "owner": "Ada"}}
    async with serving(database, fake_queue, metrics=metrics) as client:
        jobs = [(await client.post("/add")).json() for _ in range(4)]
        jobs.append((await client.post("/add/handles", json=refused)).json())
        cancelled = (await client.post("/add", json={"candidates": ["Rex"]})).json()
        assert (await client.delete(cancelled["links"]["self"])).status_code == 200
        assert (await client.post("/add", json={"candidates": []})).status_code == 422
        before = await scraped(client)
        async with working(database, fake_queue, metrics=metrics):
            for job in jobs:
                await ended(client, job)
        waited = await client.get(jobs[0]["links"]["self"], headers=WAIT)
        assert waited.json()["status"] == "succeeded"
        assert (await client.get("/jobs/nobody-knows-me")).status_code == 404
        assert (await client.get("/nothing/is/here")).status_code == 404
        after = await scraped(client)

    assert read(before, "dibs_queue_depth") == 5
    assert read(before, "dibs_queue_oldest_age_seconds") > 0
    assert (read(after, "dibs_queue_depth"), read(after, "dibs_queue_oldest_age_seconds")) == (0, 0)
    assert read(after, "dibs_redis_up") == read(after, "dibs_database_up") == 1
    assert told(after, "dibs_jobs_total") == {
        ("animals", "succeeded"): 3,
        ("animals", "exhausted"): 1,
        ("animals", "cancelled"): 1,
        ("handles", "failed"): 1,
    }
    assert told(after, "dibs_failed_jobs_total") == {("handles", "refused-by-database"): 1}
    assert told(after, "dibs_faults_total") == {("refused",): 1}
    assert told(after, "dibs_submits_total") == {
        ("accepted", "animals"): 5,
        ("accepted", "handles"): 1,
        ("invalid", "animals"): 1,
    }
    assert told(after, "dibs_job_tries_count") == {("animals",): 4, ("handles",): 1}
    assert told(after, "dibs_job_tries_sum") == {("animals",): 4, ("handles",): 1}
    # The cancelled one was in the queue as well; its claim found the receipt.
    assert told(after, "dibs_queue_seconds_count") == {("animals",): 5, ("handles",): 1}
    assert told(after, "dibs_batch_jobs_sum") == {("animals",): 5, ("handles",): 1}
    assert told(after, "dibs_claim_seconds_count") == told(after, "dibs_batch_jobs_count")
    assert told(after, "dibs_deliveries_total") == {("first",): 6}
    assert told(after, "dibs_group_jobs_sum") == {(): 6}
    requests = told(after, "dibs_http_request_seconds_count")
    assert requests["POST", "/add", "202"] == 5
    assert requests["POST", "/add", "422"] == 1
    assert requests["POST", "/add/handles", "202"] == 1
    assert requests["DELETE", "/jobs/{job_id}", "200"] == 1
    assert requests["GET", "/jobs/{job_id}", "404"] == 1
    assert requests["GET", "none", "404"] == 1


async def test_a_passing_fault_is_a_fault_and_a_try(database: Database, fake_queue: Queue, metrics: Metrics) -> None:
    url = database.writer.url.render_as_string(hide_password=False)
    job = make_job(ANIMALS, ["Max"])
    async with impatient(url) as hurried:
        hands = make_hands(hurried, fake_queue, metrics=metrics)
        batch = await enqueue(hands, ANIMALS, [job])
        async with held_name(database, "Max"):
            [delivery] = (await fake_queue.take(1, 10)).deliveries
            assert isinstance(await hands.run([delivery]), Again)
        [key] = [key async for key in fake_queue.redis.scan_iter("arq:in-progress:*")]
        await fake_queue.redis.delete(key)
        await deliver(hands, batch, delivery=2)

    samples = exposed(metrics)
    assert told(samples, "dibs_faults_total") == {("passing",): 1}
    assert told(samples, "dibs_deliveries_total") == {("first",): 1, ("again",): 1}
    assert told(samples, "dibs_jobs_total") == {("animals", "succeeded"): 1}
    assert told(samples, "dibs_job_tries_sum") == {("animals",): 2}
    assert told(samples, "dibs_queue_seconds_count") == {("animals",): 1}


async def test_a_job_that_comes_again_is_counted_once(
    sqlite_database: Database, fake_queue: Queue, metrics: Metrics
) -> None:
    hands = make_hands(sqlite_database, fake_queue, metrics=metrics)
    job, bad = make_job(ANIMALS, ["Max"]), make_handle_job("nobody", "max")
    for collection, one in ((ANIMALS, job), (HANDLES, bad)):
        await again_and_again(hands, collection, one)
    samples = exposed(metrics)
    assert told(samples, "dibs_jobs_total") == {("animals", "succeeded"): 1, ("handles", "failed"): 1}
    assert told(samples, "dibs_faults_total") == {("refused",): 1}


async def again_and_again(hands: Hands, collection: Collection, job: Job) -> None:
    """The same job in three batches, as a submit under a key makes them after its ticket is gone."""
    for _ in range(3):
        await deliver(hands, await enqueue(hands, collection, [job]))


async def test_a_lost_lease_is_counted_once(sqlite_database: Database, fake_queue: Queue, metrics: Metrics) -> None:
    hands = make_hands(sqlite_database, fake_queue, metrics=metrics)
    await enqueue(hands, ANIMALS, [make_job(ANIMALS, ["Max"])])
    [delivery] = (await fake_queue.take(1, 10)).deliveries
    with hands.pulse.lease([delivery]):
        await hands.pulse.renew([delivery.batch])
        assert told(exposed(metrics), "dibs_leases_lost_total") == {}
        await fake_queue.redis.delete(f"arq:in-progress:{delivery.batch}")
        for _ in range(2):
            await hands.pulse.renew([delivery.batch])
    assert told(exposed(metrics), "dibs_leases_lost_total") == {(): 1}
    await hands.pulse.renew([delivery.batch])
    assert told(exposed(metrics), "dibs_leases_lost_total") == {(): 1}, "what is not held is not lost"


async def test_workers_are_counted_while_they_live(
    sqlite_database: Database, fake_queue: Queue, metrics: Metrics
) -> None:
    hands = make_hands(sqlite_database, fake_queue)
    async with serving(sqlite_database, fake_queue, metrics=metrics) as client:
        assert read(await scraped(client), "dibs_workers") == 0

        async def there_are(workers: int) -> bool:
            return read(await scraped(client), "dibs_workers") == workers

        async with at_work(hands):
            await until(lambda: there_are(1))
        await fake_queue.redis.delete(fake_queue.worker_key(hands.pulse.name))
        await until(lambda: there_are(0))


async def test_open_waits_and_their_time(sqlite_database: Database, fake_queue: Queue, metrics: Metrics) -> None:
    bulk = {"Content-Type": "application/x-ndjson"}
    async with serving(sqlite_database, fake_queue, metrics=metrics) as client:
        waiting = asyncio.create_task(client.post("/add", headers={"Prefer": "wait=1"}))

        async def are_open() -> bool:
            return read(await scraped(client), "dibs_open_waits") == 1

        await until(are_open)
        await waiting
        taken_in = await client.post("/bulk/animals", content=b'{"candidates": ["Max"]}\n', headers=bulk)
        async with working(sqlite_database, fake_queue):
            await client.get(taken_in.json()["links"]["self"], headers=WAIT)
        samples = await scraped(client)
    assert read(samples, "dibs_open_waits") == 0
    assert told(samples, "dibs_wait_seconds_count") == {("false",): 1, ("true",): 1}
    assert read(samples, "dibs_wait_seconds_sum", ended="false") >= 0.9
    took_s = read(samples, "dibs_http_request_seconds_sum", method="POST", route="/add", status="202")
    assert took_s < 0.9, "what the caller asked to wait is not ours"


@pytest.fixture
async def redis_nowhere() -> AsyncIterator[Redis]:
    redis = open_redis(f"redis://127.0.0.1:{free_port()}")
    yield redis
    await redis.aclose(close_connection_pool=True)


async def test_a_scrape_while_redis_is_away(sqlite_database: Database, redis_nowhere: Redis, metrics: Metrics) -> None:
    async with serving(sqlite_database, Queue(redis_nowhere, "test", limit=10), metrics=metrics) as client:
        assert (await client.post("/add")).status_code == 503
        samples = await scraped(client)
    assert (read(samples, "dibs_redis_up"), read(samples, "dibs_database_up")) == (0, 1)
    assert not {"dibs_queue_depth", "dibs_queue_oldest_age_seconds", "dibs_workers"} & {name for name, _ in samples}
    assert told(samples, "dibs_submits_total") == {("queue-away", "animals"): 1}


async def test_labels_are_bounded(sqlite_database: Database, fake_queue: Queue, metrics: Metrics) -> None:
    async with serving(sqlite_database, fake_queue, metrics=metrics) as client:
        for number in range(20):
            await client.get(f"/no/{number}")
            await client.request(f"M{number}", "/add")
            await client.post(f"/add/c{number}")
    hands = make_hands(sqlite_database, fake_queue, metrics=metrics)
    for number in range(3):
        job = make_job(ANIMALS, ["Max"])
        await hands.queue.submit(f"collection-{number}", [job])
        [delivery] = (await fake_queue.take(1, 10)).deliveries
        await hands.run([delivery])
    samples = exposed(metrics)
    assert told(samples, "dibs_http_request_seconds_count") == {
        ("GET", "none", "404"): 20,
        ("other", "/add", "405"): 20,
        ("POST", "/add/{collection}", "404"): 20,
    }
    assert told(samples, "dibs_jobs_total") == {("unknown", "failed"): 3}


async def test_open_metrics_where_it_is_asked_for(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert "_created" not in answer.text
