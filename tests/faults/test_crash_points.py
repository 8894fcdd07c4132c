"""A death at each named point (shared/points.py), and the one thing that must hold after it."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from shared.contract import Status
from shared.database import Database
from shared.points import Point
from shared.problems import Kind
from shared.queue import Queue
from shared.receipts import read_receipts
from tests.build import ANIMALS, make_job, names_of, receipts_of
from tests.face.processes import Running
from tests.faults.conftest import StartDibs
from tests.serving import drained, working
from tests.waiting import held_name, until, until_blocked

pytestmark = pytest.mark.postgresql

LEASE_S = "1"
DYING = "tests.faults.dying"


@pytest.fixture
def database(postgresql_database: Database) -> Database:
    return postgresql_database


@dataclass
class Stage:
    """Starts processes on the test's servers and queue."""

    database_url: str
    redis_url: str
    queue_name: str
    start_dibs: StartDibs

    def start(self, command: str, *more: str, module: str = "dibs") -> Running:
        names = {"DIBS_QUEUE_NAME": self.queue_name, "DIBS_LEASE_S": LEASE_S}
        return self.start_dibs(command, self.database_url, self.redis_url, *more, module=module, **names)

    def start_dying(self, command: str, point: Point, job: UUID | None = None) -> Running:
        return self.start(command, point.value, *([str(job)] if job else []), module=DYING)


@pytest.fixture
def stage(postgresql_url: str, redis_url: str, redis_queue: Queue, start_dibs: StartDibs) -> Stage:
    return Stage(postgresql_url, redis_url, redis_queue.name, start_dibs)


async def killed(process: Running) -> None:
    assert await asyncio.to_thread(process.ended) == -signal.SIGKILL


async def left_in(queue: Queue) -> list[str]:
    """What the queue still holds, without the signs of life and the tallies."""
    lasting = (f"{queue.name}:worker:", f"{queue.name}:workers", f"{queue.name}:idle", f"{queue.name}:minute:")
    return [key.decode() async for key in queue.redis.scan_iter() if not key.decode().startswith(lasting)]


BEFORE_COMMIT = [Point.LEASED, Point.STARTED, Point.INSERTED, Point.WRITTEN]
AFTER_COMMIT = [Point.COMMITTED, Point.TOLD]


@pytest.mark.parametrize("point", BEFORE_COMMIT)
async def test_before_the_commit_nothing_has_happened(
    database: Database, redis_queue: Queue, stage: Stage, point: Point
) -> None:
    """Two jobs in the batch: a lone one has no moment between its row and its receipt."""
    names = ["Max", "Cody", "Robby"]
    first, beside, later = (make_job(ANIMALS, names) for _ in range(3))
    await redis_queue.submit("animals", [first, beside])
    await killed(stage.start_dying("worker", point))

    assert await receipts_of(database, [first, beside]) == {}
    assert await names_of(database) == []
    await redis_queue.submit("animals", [later])
    async with working(database, redis_queue):
        await drained(redis_queue)
    receipts = await receipts_of(database, [first, beside, later])
    assert sorted(receipt.choice or 0 for receipt in receipts.values()) == [0, 1, 2]
    assert {receipt.tries for receipt in receipts.values()} == {1}
    assert await left_in(redis_queue) == []


async def test_a_death_in_the_middle_of_the_one_statement_of_a_lone_job(
    database: Database, redis_queue: Queue, stage: Stage
) -> None:
    """PostgreSQL does not see it and ends the job after all; the answer stands."""
    job = make_job(ANIMALS, ["Max", "Cody"])
    async with held_name(database, "Max"):
        await redis_queue.submit("animals", [job])
        worker = stage.start("worker")
        await until_blocked(database)
        worker.process.kill()
        await killed(worker)
        assert await receipts_of(database, [job]) == {}
    await until(lambda: receipts_of(database, [job]))
    committed = await receipts_of(database, [job])
    async with working(database, redis_queue):
        await drained(redis_queue)

    assert await receipts_of(database, [job]) == committed
    assert committed[job.id].choice == 0
    assert await names_of(database) == ["Max"]
    assert await left_in(redis_queue) == []


@pytest.mark.parametrize("point", AFTER_COMMIT)
async def test_after_the_commit_the_answer_stands(
    database: Database, redis_queue: Queue, stage: Stage, point: Point
) -> None:
    first, second = (make_job(ANIMALS, ["Max", "Cody"]) for _ in range(2))
    await redis_queue.submit("animals", [first])
    await killed(stage.start_dying("worker", point))

    committed = await receipts_of(database, [first])
    assert committed[first.id].choice == 0
    assert await redis_queue.depth() == 1, "the queue does not know it yet"
    await redis_queue.submit("animals", [second])
    async with working(database, redis_queue):
        await drained(redis_queue)
    receipts = await receipts_of(database, [first, second])
    assert receipts[first.id] == committed[first.id]
    assert receipts[second.id].choice == 1
    assert await names_of(database) == ["Cody", "Max"]
    assert await left_in(redis_queue) == []


async def test_once_it_is_finished_nothing_is_left_to_do(database: Database, redis_queue: Queue, stage: Stage) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    await redis_queue.submit("animals", [job])
    await killed(stage.start_dying("worker", Point.FINISHED))

    assert (await receipts_of(database, [job]))[job.id].status is Status.SUCCEEDED
    assert await left_in(redis_queue) == []


async def test_a_death_while_handing_back_spends_no_try(database: Database, redis_queue: Queue, stage: Stage) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    worker = stage.start_dying("worker", Point.STOPPING)
    async with held_name(database, "Max"):
        await redis_queue.submit("animals", [job])
        await until(lambda: is_leased(redis_queue))
        worker.tell(signal.SIGTERM)
        await asyncio.to_thread(worker.until_log_says, "SIGTERM")
        worker.tell(signal.SIGTERM)
        await killed(worker)
    async with working(database, redis_queue):
        await drained(redis_queue)

    receipt = (await receipts_of(database, [job]))[job.id]
    assert (receipt.choice, receipt.tries) == (0, 1)
    assert await left_in(redis_queue) == []


async def is_leased(queue: Queue) -> bool:
    return bool([key async for key in queue.redis.scan_iter("arq:in-progress:*")])


async def test_the_one_that_kills_its_workers_fails_and_its_neighbours_do_not(
    database: Database, redis_queue: Queue, stage: Stage
) -> None:
    """Alone in their batches or in one with it: whoever was near the culprit is done in the end."""
    culprit = make_job(ANIMALS, ["culprit"])
    alone = [make_job(ANIMALS, [f"alone {n:03}"]) for n in range(60)]
    beside = [make_job(ANIMALS, [f"beside {n}"]) for n in range(30)]
    await redis_queue.submit("animals", alone[:1])
    await redis_queue.submit("animals", [*beside, culprit])
    for job in alone[1:]:
        await redis_queue.submit("animals", [job])
    deaths = 0
    while culprit.id not in await receipts_of(database, [culprit]):
        worker = stage.start_dying("worker", Point.STARTED, culprit.id)
        await until(lambda worker=worker: ended_or_done(worker, database, culprit.id))  # type: ignore[misc]  # mypy knows no type of a lambda's default
        deaths += worker.process.poll() is not None
    await drained(redis_queue)

    receipts = await receipts_of(database, [culprit, *alone, *beside])
    failed = receipts.pop(culprit.id)
    assert failed.error
    assert (failed.status, failed.error.kind) == (Status.FAILED, Kind.POISON)
    assert {receipt.status for receipt in receipts.values()} == {Status.SUCCEEDED}
    assert len(receipts) == 90
    assert deaths == 4, "in its batch, in its batch alone, with few others, alone"
    assert await left_in(redis_queue) == []


async def ended_or_done(worker: Running, database: Database, job: UUID) -> bool:
    if worker.process.poll() is not None:
        return True
    async with database.reads() as session:
        return job in await read_receipts(session, [job])


async def test_a_death_in_the_middle_of_a_scattering_doubles_nothing(
    database: Database, redis_queue: Queue, stage: Stage
) -> None:
    jobs = [make_job(ANIMALS, ["Max", "Cody", "Robby"]) for _ in range(3)]
    await redis_queue.submit("animals", jobs)
    for point in (Point.STARTED, Point.STARTED, Point.SCATTERED):
        await killed(stage.start_dying("worker", point))
    assert await redis_queue.redis.zcard(redis_queue.batches) == 1 + len(jobs)

    async with working(database, redis_queue):
        await drained(redis_queue)

    receipts = await receipts_of(database, jobs)
    assert sorted(str(receipt.choice) for receipt in receipts.values()) == ["0", "1", "2"]
    assert await names_of(database) == ["Cody", "Max", "Robby"]
    assert await left_in(redis_queue) == []


async def test_an_api_that_dies_before_its_202_has_taken_the_add_in_once(
    database: Database, redis_queue: Queue, stage: Stage, http: httpx.AsyncClient
) -> None:
    key, body = {"Idempotency-Key": "once"}, {"candidates": ["Max", "Cody"]}
    dying = stage.start_dying("api", Point.ENQUEUED)
    with pytest.raises(httpx.TransportError):
        await http.post(f"{dying.url}/add", json=body, headers=key)
    await killed(dying)
    assert await redis_queue.depth() == 1

    api = stage.start("api")
    async with working(database, redis_queue):
        answer = await http.post(f"{api.url}/add", json=body, headers={**key, "Prefer": "wait=20"})
        await drained(redis_queue)
    assert (answer.status_code, answer.json()["choice"]) == (200, 0)
    assert await names_of(database) == ["Max"]
    assert await left_in(redis_queue) == []


async def test_a_bulk_whose_api_dies_is_sent_again_and_no_line_is_done_twice(
    database: Database, redis_queue: Queue, stage: Stage, http: httpx.AsyncClient
) -> None:
    lines = "".join(f'{{"candidates": ["name {n}", "other {n}"]}}\n' for n in range(1200))
    headers = {"Idempotency-Key": "import", "Content-Type": "application/x-ndjson"}
    dying = stage.start_dying("api", Point.ENQUEUED)
    with pytest.raises(httpx.TransportError):
        await http.post(f"{dying.url}/bulk/animals", content=lines, headers=headers)
    await killed(dying)
    assert await redis_queue.depth() == 500

    api = stage.start("api")
    async with working(database, redis_queue):
        answer = await http.post(f"{api.url}/bulk/animals", content=lines, headers=headers)
        assert answer.status_code == 202
        await drained(redis_queue)
        counts = (await http.get(api.url + answer.headers["Location"])).json()["counts"]
    assert counts == {"succeeded": 1200}
    assert await names_of(database) == sorted(f"name {n}" for n in range(1200))


async def test_a_cancel_whose_api_dies_is_a_cancel(
    database: Database, redis_queue: Queue, stage: Stage, http: httpx.AsyncClient
) -> None:
    job = make_job(ANIMALS, ["Max"])
    await redis_queue.submit("animals", [job])
    dying = stage.start_dying("api", Point.CANCELLED)
    with pytest.raises(httpx.TransportError):
        await http.delete(f"{dying.url}/jobs/{job.id}")
    await killed(dying)

    api = stage.start("api")
    async with working(database, redis_queue):
        await drained(redis_queue)
    again = await http.delete(f"{api.url}/jobs/{job.id}")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert await names_of(database) == []
    assert await left_in(redis_queue) == []


def test_every_point_has_its_test() -> None:
    told = Path(__file__).read_text()
    assert [point for point in Point if f"Point.{point.name}" not in told] == []
