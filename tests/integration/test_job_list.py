"""GET /jobs: jobs that have ended, newest first, and those that wait, oldest first; everybody their own."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from api.callers import Scope
from shared import waiting_pages
from shared.contract import Job, Status
from shared.database import Database
from shared.queue import Queue
from shared.waiting_pages import WaitingPlace, read_waiting_page
from tests.build import ANIMALS, make_job
from tests.keys import as_caller
from tests.serving import WAIT, drained, serving, working


async def walk(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """All jobs, page by page, by the link as well as by the cursor."""
    found: list[dict[str, Any]] = []
    address = path
    while True:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        page = answer.json()
        found += page["jobs"]
        if page["next"] is None:
            assert "link" not in answer.headers
            return found
        address = answer.links["next"]["url"]
        assert httpx.URL(address).params["cursor"] == page["next"]


async def test_what_has_ended_comes_newest_first(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        jobs = [(await client.post("/add", headers=WAIT)).json() for _ in range(5)]
        assert await walk(client, "/jobs?limit=2") == jobs[::-1]
        assert await walk(client, "/jobs?limit=1&status=exhausted") == [jobs[4], jobs[3]]
        assert await walk(client, "/jobs?limit=2&status=exhausted&status=succeeded") == jobs[::-1]
        assert await walk(client, "/jobs?collection=handles") == []
        since, until = jobs[1]["finished_at"], jobs[3]["finished_at"]
        assert await walk(client, f"/jobs?limit=1&since={since}&until={until}") == [jobs[2], jobs[1]]
        assert await walk(client, "/jobs?status=queued") == []


async def test_what_waits_comes_oldest_first(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client:
        jobs = [(await client.post("/add", json={"candidates": [f"n{n}"]})).json() for n in range(3)]
        rex = {"candidates": [{"handle": "rex"}], "values": {"tenant": "acme", "owner": "Ada"}}
        handle = (await client.post("/add/handles", json=rex)).json()
        assert await walk(client, "/jobs?limit=2&status=queued") == [*jobs, handle]
        assert await walk(client, "/jobs?limit=2&status=queued&collection=handles") == [handle]
        await queue.take(1, lease_s=10)
        assert [job["id"] for job in await walk(client, "/jobs?status=running")] == [jobs[0]["id"]]
        assert await walk(client, "/jobs?status=queued&status=retrying") == [*jobs[1:], handle]
        assert await walk(client, "/jobs") == []


async def walk_waiting(queue: Queue, limit: int) -> list[UUID]:
    found: list[UUID] = []
    after: WaitingPlace | None = None
    while True:
        page = await read_waiting_page(queue, lambda job: job.ticket.fingerprint != "no", after, limit)
        found += [job.id for job in page.jobs]
        if page.next is None:
            return found
        after = page.next


async def put(queue: Queue, *jobs: Job) -> None:
    await queue.submit("animals", jobs)


@pytest.mark.parametrize(("look_through", "together"), [(5_000, 500), (5, 2), (1, 1)])
async def test_many_of_the_same_moment_are_each_listed_once(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, look_through: int, together: int
) -> None:
    monkeypatch.setattr(waiting_pages, "LOOK_THROUGH", look_through)
    monkeypatch.setattr(waiting_pages, "LOOK_TOGETHER", together)
    jobs: list[Job] = []
    for _ in range(4):
        same = [make_job(ANIMALS, ["Max"]) for _ in range(9)]
        await put(queue, *same)
        jobs += same
    scores = dict(await queue.redis.zrange(queue.waiting, 0, -1, withscores=True))
    in_order = sorted(jobs, key=lambda job: (scores[str(job.id).encode()], str(job.id)))
    for limit in (1, 4, 100):
        assert await walk_waiting(queue, limit) == [job.id for job in in_order]


async def test_jobs_that_leave_meanwhile_take_no_other_along(fake_queue: Queue) -> None:
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(10)]
    await put(fake_queue, *jobs)
    first = await read_waiting_page(fake_queue, lambda _: True, None, 3)
    for job in first.jobs:
        await fake_queue.forget(job.id)
    rest = (await read_waiting_page(fake_queue, lambda _: True, first.next, 100)).jobs
    assert [job.id for job in (*first.jobs, *rest)] == sorted(job.id for job in jobs)


async def test_the_place_where_a_look_ends_tells_no_id_of_what_was_not_wanted(
    fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_pages, "LOOK_THROUGH", 2)
    jobs = [make_job(ANIMALS, ["Max"]) for _ in range(6)]
    for number, job in enumerate(jobs):
        await put(fake_queue, job)
        await fake_queue.redis.zadd(fake_queue.waiting, {str(job.id): 1000 + number})
    first = await read_waiting_page(fake_queue, lambda job: job.id == jobs[3].id, None, 10)
    assert first.jobs == []
    assert first.next == WaitingPlace(1001, None)
    second = await read_waiting_page(fake_queue, lambda job: job.id == jobs[3].id, first.next, 10)
    assert [job.id for job in second.jobs] == [jobs[3].id]


async def test_everybody_sees_their_own_and_an_admin_all(database: Database, fake_queue: Queue) -> None:
    async with (
        serving(database, fake_queue) as client,
        as_caller(client, database, "ada") as ada,
        as_caller(client, database, "bob") as bob,
        as_caller(client, database, "root", Scope.ADMIN) as root,
    ):
        mine = [(await ada.post("/add", json={"candidates": [f"a{n}"]})).json() for n in range(3)]
        theirs = [(await bob.post("/add", json={"candidates": [f"b{n}"]})).json() for n in range(3)]
        assert await walk(ada, "/jobs?limit=2&status=queued") == mine
        assert await walk(bob, "/jobs?limit=2&status=queued") == theirs
        assert len(await walk(root, "/jobs?limit=2&status=queued")) == 6
        async with working(database, fake_queue):
            await drained(fake_queue)
        for asks, own in ((ada, mine), (bob, theirs)):
            found = await walk(asks, "/jobs?limit=2")
            assert {job["id"] for job in found} == {job["id"] for job in own}
            assert await walk(asks, "/jobs?limit=2&status=succeeded&collection=animals") == found
        assert len(await walk(root, "/jobs?limit=2")) == 6


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=101", "/query/limit"),
        ("status=lost", "/query/status/0"),
        ("status=queued&status=failed", "/query/status"),
        ("status=queued&since=2026-01-01T00:00:00Z", "/query/since"),
        ("since=2026-01-01", "/query/since"),
        ("since=1700000000", "/query/since"),
        ("until=2026-01-01T00:00:00", "/query/until"),
        ("until=0001-01-01T00:00:00%2B14:00", "/query/until"),
        ("collection=%00", "/query/collection"),
        ("collection=", "/query/collection"),
        ("cursor=x", "/query/cursor"),
        ("cursor=W10", "/query/cursor"),
        ("cursor=%ff", "/query/cursor"),
    ],
)
async def test_what_cannot_be_asked_is_a_422(
    sqlite_database: Database, fake_queue: Queue, query: str, pointer: str
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.get(f"/jobs?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_cursor_of_the_other_list_is_a_422(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        for name in "ab":
            await client.post("/add", json={"candidates": [name]})
        cursor = (await client.get("/jobs?status=queued&limit=1")).json()["next"]
        assert (await client.get(f"/jobs?status=queued&cursor={cursor}")).status_code == 200
        assert (await client.get(f"/jobs?status=failed&cursor={cursor}")).status_code == 422


async def test_every_status_can_be_asked_for(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        for status in Status:
            assert (await client.get(f"/jobs?status={status}")).json() == {"jobs": [], "next": None}
