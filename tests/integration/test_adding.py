"""An add from its submit to its outcome, over HTTP, on both databases and both kinds of Redis."""

import asyncio

import httpx

from shared.database import Database
from shared.queue import Queue
from tests.build import HANDLES, add_tenants, names_of, rows_of
from tests.serving import WAIT, ended, make_test_app, serving, working


async def test_four_adds_without_a_body(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        jobs = [(await client.post("/add", headers=WAIT)).json() for _ in range(4)]
    assert [job["status"] for job in jobs] == ["succeeded", "succeeded", "succeeded", "exhausted"]
    assert [job["result"] and job["result"]["name"] for job in jobs] == ["Max", "Cody", "Robby", None]
    assert [job["choice"] for job in jobs] == [0, 1, 2, None]
    assert [job["tries"] for job in jobs] == [1, 1, 1, 1]


async def test_a_submit_is_answered_at_once_and_polled(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client:
        answer = await client.post("/add", json={"candidates": ["Rex", {"name": "Bello"}]})
        job = answer.json()
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/jobs/{job['id']}"
        assert int(answer.headers["retry-after"]) > 0
        assert (job["status"], job["result"], job["finished_at"]) == ("queued", None, None)

        polled = await client.get(answer.headers["location"])
        assert polled.status_code == 200
        assert int(polled.headers["retry-after"]) > 0
        assert polled.json() == job

        async with working(database, queue):
            done = await ended(client, job)
        polled = await client.get(answer.headers["location"])
    assert polled.json() == done
    assert "retry-after" not in polled.headers
    assert done["submitted_at"] == job["submitted_at"] <= done["finished_at"]
    assert (done["result"]["name"], done["choice"]) == ("Rex", 0)


async def test_the_order_of_the_candidates_counts_and_repeats_do_not(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        await client.post("/add", json={"candidates": ["b"]}, headers=WAIT)
        add = {"candidates": ["b", "b", {"name": "b"}, "c", "a"]}
        job = (await client.post("/add", json=add, headers=WAIT)).json()
    assert (job["result"]["name"], job["choice"]) == ("c", 3)


async def test_tenants_do_not_collide(database: Database, fake_queue: Queue) -> None:
    await add_tenants(database, "one", "two")
    candidates = [{"handle": "max"}, {"handle": "cody"}]

    async def add(client: httpx.AsyncClient, tenant: str) -> str:
        add = {"candidates": candidates, "values": {"tenant": tenant, "owner": "Ada", "fee": "12.50"}}
        job = (await client.post("/add/handles", json=add, headers=WAIT)).json()
        return str(job["result"]["handle"])

    async with serving(database, fake_queue) as client, working(database, fake_queue):
        won = [await add(client, tenant) for tenant in ("one", "two", "one", "two")]
    assert won == ["max", "max", "cody", "cody"]
    assert {row["owner"] for row in await rows_of(database, HANDLES)} == {"Ada"}


async def test_what_only_the_database_knows_fails_alone(database: Database, queue: Queue) -> None:
    await add_tenants(database, "one")

    def handle(name: str, **values: str) -> dict[str, object]:
        return {"candidates": [{"handle": name}], "values": {"tenant": "one", "owner": "Ada", **values}}

    adds = [handle(f"ok{n}") for n in range(6)]
    adds[2:2] = [handle("no-tenant", tenant="nowhere"), handle("bad-plan", plan="golden")]
    async with serving(database, queue) as client:
        submitted = [(await client.post("/add/handles", json=add)).json() for add in adds]
        async with working(database, queue):
            jobs = [await ended(client, job) for job in submitted]
    assert [job["status"] for job in jobs] == ["succeeded"] * 2 + ["failed"] * 2 + ["succeeded"] * 4
    assert jobs[2]["error"]["constraint"] == "fk_handles_tenant"
    assert jobs[3]["error"]["constraint"] == "ck_handles_plan"
    assert all(job["error"]["type"] == "/problems/refused-by-database" for job in jobs[2:4])


async def test_a_wait_is_answered_when_the_job_ends_and_not_before(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client:
        early = await client.post("/add", headers={"Prefer": "respond-async, wait=0"})
        assert (early.status_code, early.json()["status"]) == (202, "queued")

        waiting = asyncio.create_task(client.get(early.headers["location"], headers=WAIT))
        async with working(database, queue):
            answer = await waiting
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.json()["status"] == "succeeded"


async def test_a_wait_ends_in_time_without_a_worker(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue, max_wait_s=0.2) as client:
        answer = await client.post("/add", headers=WAIT)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["preference-applied"] == "wait=0.2"


async def test_many_at_once_share_the_names_out(postgresql_database: Database, redis_queue: Queue) -> None:
    async with serving(postgresql_database, redis_queue) as client, working(postgresql_database, redis_queue):
        names = [f"n{i}" for i in range(20)]
        answers = await asyncio.gather(
            *(client.post("/add", json={"candidates": names}, headers=WAIT) for _ in range(40))
        )
    statuses = [answer.json()["status"] for answer in answers]
    assert (statuses.count("succeeded"), statuses.count("exhausted")) == (20, 20)
    assert sorted(await names_of(postgresql_database)) == sorted(names)


async def test_a_server_that_stops_answers_who_waits_with_the_job_as_it_stands(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dibs.test") as client,
    ):
        waiting = asyncio.create_task(client.post("/add", headers=WAIT))
        while not await fake_queue.depth():  # noqa: ASYNC110  # until the add is taken in
            await asyncio.sleep(0.01)
        app.state.stopping()
        answer = await asyncio.wait_for(waiting, 5)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["location"] == answer.json()["links"]["self"]
