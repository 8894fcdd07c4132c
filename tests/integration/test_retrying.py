"""A job that ended without a row is sent again: once, with the same content, linked to it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update

from api.callers import Scope
from shared.database import Database
from shared.ids import keyed_id, retry_id
from shared.queue import Queue
from shared.receipts import TABLE
from tests.build import add_tenants, names_of
from tests.keys import as_caller
from tests.serving import WAIT, drained, serving, working

LUNA = {"candidates": [{"handle": "luna"}, {"handle": "rex"}], "values": {"tenant": "acme", "owner": "Ada"}}


def retry_of(job: dict[str, Any]) -> str:
    return f"{job['links']['self']}/retry"


async def failed(client: httpx.AsyncClient, add: dict[str, Any] = LUNA) -> dict[str, Any]:
    """A job that fails because its tenant is not there."""
    job: dict[str, Any] = (await client.post("/add/handles", json=add, headers=WAIT)).json()
    assert (job["status"], job["error"]["type"]) == ("failed", "/problems/refused-by-database")
    return job


async def test_a_failed_job_is_sent_again_with_its_content(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        job = await failed(client)
        await add_tenants(database, "acme")
        answer = await client.post(retry_of(job))
        again = answer.json()
        assert answer.status_code in {200, 202}
        assert answer.headers["location"] == again["links"]["self"] != job["links"]["self"]
        assert again["links"]["retry_of"] == job["links"]["self"]
        ended = (await client.get(again["links"]["self"], headers=WAIT)).json()
        assert (ended["status"], ended["result"]["handle"], ended["choice"]) == ("succeeded", "luna", 0)
        assert ended["links"]["retry_of"] == job["links"]["self"]
        assert (await client.get(job["links"]["self"])).json() == job


async def test_a_double_click_makes_one_job(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        taken = (await client.post("/add", json={"candidates": ["Max"]}, headers=WAIT)).json()
        job = (await client.post("/add", json={"candidates": ["Max"]}, headers=WAIT)).json()
        assert (taken["status"], job["status"]) == ("succeeded", "exhausted")
        answers = await asyncio.gather(*(client.post(retry_of(job)) for _ in range(20)))
        assert {answer.status_code for answer in answers} <= {200, 202}
        [again] = {answer.json()["id"] for answer in answers}
        first = await client.post(retry_of(job), headers=WAIT)
        assert (first.status_code, first.json()["status"], first.json()["id"]) == (200, "exhausted", again)
        assert (await client.post(retry_of(job))).json() == first.json()
        await drained(queue)
        assert len((await client.get("/jobs")).json()["jobs"]) == 3


async def test_a_retry_that_failed_is_sent_again_in_its_turn(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        job = await failed(client)
        second = (await client.post(retry_of(job), headers=WAIT)).json()
        assert second["status"] == "failed"
        await add_tenants(database, "acme")
        third = (await client.post(retry_of(second), headers=WAIT)).json()
    assert (third["status"], third["links"]["retry_of"]) == ("succeeded", second["links"]["self"])
    assert len({job["id"], second["id"], third["id"]}) == 3


async def test_a_cancelled_job_is_sent_again(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client:
        job = (await client.post("/add", json={"candidates": ["Rex"]})).json()
        await client.delete(job["links"]["self"])
        answer = await client.post(retry_of(job))
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert int(answer.headers["retry-after"]) > 0
        async with working(database, fake_queue):
            again = await client.post(retry_of(job), headers=WAIT)
        assert (again.json()["id"], again.json()["status"]) == (answer.json()["id"], "succeeded")
        assert again.headers["preference-applied"] == "wait=20"
    assert await names_of(database) == ["Rex"]


async def test_what_waits_or_succeeded_is_not_sent_again(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client:
        job = (await client.post("/add")).json()
        pending = await client.post(retry_of(job))
        async with working(database, fake_queue):
            done = (await client.get(job["links"]["self"], headers=WAIT)).json()
        succeeded = await client.post(retry_of(job))
    for answer, shown in ((pending, job), (succeeded, done)):
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-retryable")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["job"] == shown


async def test_a_line_that_was_no_add_has_nothing_to_send(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        ndjson = {"Content-Type": "application/x-ndjson"}
        bulk = (await client.post("/bulk/animals", content=b"no json\n", headers=ndjson)).json()
        await drained(fake_queue)
        line = (await client.get(bulk["links"]["results"])).json()
        answer = await client.post(f"/jobs/{line['id']}/retry")
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-retryable")
    assert answer.json()["job"]["status"] == "failed"


async def changed(database: Database, job: dict[str, Any], **values: Any) -> None:
    """As if the receipt had been written by another version."""
    async with database.writes.begin() as session:
        await session.execute(update(TABLE).where(TABLE.c.id == UUID(job["id"])).values(**values))


async def test_content_that_no_longer_fits_is_a_422(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        job = await failed(client)
        content = {"candidates": [{"handle": "luna", "colour": "red"}], "values": {"tenant": "acme", "owner": "Ada"}}
        await changed(database, job, content=content)
        answer = await client.post(retry_of(job))
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
        assert answer.json()["errors"][0]["pointer"] == "/candidates/0/colour"
        await changed(database, job, collection="gone")
        answer = await client.post(retry_of(job))
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-retryable")
        assert "gone" in answer.json()["detail"]


@pytest.mark.parametrize("job", [uuid4(), "none"])
async def test_an_unknown_job_is_a_404(sqlite_database: Database, fake_queue: Queue, job: UUID | str) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post(f"/jobs/{job}/retry")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-job")


async def test_another_s_job_is_unknown_and_an_admin_s_retry_stays_its_owner_s(
    database: Database, fake_queue: Queue
) -> None:
    async with (
        serving(database, fake_queue) as client,
        working(database, fake_queue),
        as_caller(client, database, "ada") as ada,
        as_caller(client, database, "bob") as bob,
        as_caller(client, database, "root", Scope.ADMIN) as root,
    ):
        job = await failed(ada)
        answer = await bob.post(retry_of(job))
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-job")
        assert (await bob.post("/jobs/retry")).json() == {"sent": 0, "jobs": [], "next": None}
        again = (await root.post(retry_of(job), headers=WAIT)).json()
        assert (await ada.get(again["links"]["self"])).json() == again
        assert (await bob.get(again["links"]["self"])).status_code == 404


async def test_many_are_sent_again_page_by_page(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        await client.post("/add", json={"candidates": ["Max"]}, headers=WAIT)
        exhausted = (await client.post("/add", json={"candidates": ["Max"]}, headers=WAIT)).json()
        jobs = [await failed(client, LUNA | {"candidates": [{"handle": f"h{n}"}]}) for n in range(5)]
        await changed(database, jobs[2], content=None)
        await add_tenants(database, "acme")
        path: str | None = "/jobs/retry?limit=2&collection=handles"
        told: list[dict[str, Any]] = []
        while path:
            answer = await client.post(path)
            page = answer.json()
            assert page["sent"] == sum(one["is_new"] for one in page["jobs"])
            told += page["jobs"]
            path = answer.links["next"]["url"] if page["next"] else None
        assert [one["job"] for one in told] == [job["id"] for job in reversed(jobs)]
        assert [one["error"] and one["error"]["type"] for one in told] == [
            None, None, "/problems/not-retryable", None, None,
        ]  # fmt: skip
        await drained(queue)
        repeated = (await client.post("/jobs/retry?collection=handles")).json()
        assert repeated["sent"] == 0
        assert [one["retry"] and one["retry"]["status"] for one in repeated["jobs"]] == [
            "succeeded", "succeeded", None, "succeeded", "succeeded",
        ]  # fmt: skip
        assert [one["retry"]["id"] for one in repeated["jobs"] if one["retry"]] == [
            one["retry"]["id"] for one in told if one["retry"]
        ]
        others = (await client.post("/jobs/retry?status=exhausted&status=cancelled")).json()
        assert [one["job"] for one in others["jobs"]] == [exhausted["id"]]


@pytest.mark.parametrize("query", ["status=succeeded", "status=queued", "limit=101", "cursor=x"])
async def test_what_cannot_be_sent_again_at_all_is_a_422(
    sqlite_database: Database, fake_queue: Queue, query: str
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post(f"/jobs/retry?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")


async def test_a_full_queue_sends_nothing_and_asking_again_sends_the_rest(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        jobs = [(await client.post("/add", json={"candidates": [name]})).json() for name in "abc"]
        for job in jobs:
            await client.delete(job["links"]["self"])
        fake_queue.limit = 2
        full = await client.post("/jobs/retry?status=cancelled")
        assert (full.status_code, full.json()["type"]) == (503, "/problems/queue-full")
        fake_queue.limit = 10
        again = (await client.post("/jobs/retry?status=cancelled")).json()
        assert len([one for one in again["jobs"] if one["retry"]["status"] == "queued"]) == 3
        assert await fake_queue.depth() == 3


def test_no_key_leads_to_the_id_of_a_retry() -> None:
    job = uuid4()
    assert retry_id(job) == retry_id(job)
    assert (retry_id(job).version, retry_id(job).variant) == (8, job.variant)
    assert retry_id(job) not in {keyed_id("", str(job)), keyed_id("", f"retry\0{job}"), keyed_id("retry", str(job))}
    assert retry_id(retry_id(job)) not in {job, retry_id(job)}


async def test_the_receipt_of_a_retry_says_which_job_it_repeats(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        job = await failed(client)
        again = (await client.post(retry_of(job), headers=WAIT)).json()
    async with database.reads() as session:
        row = (await session.execute(TABLE.select().where(TABLE.c.id == UUID(again["id"])))).one()
    assert (row.retry_of, row.caller) == (UUID(job["id"]), "")
