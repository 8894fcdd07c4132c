"""Another caller's job, bulk or idempotency key: not there, whatever is asked of it."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from shared.database import Database
from shared.ids import new_bulk_id, new_id
from shared.queue import Queue
from shared.scopes import Scope
from tests.build import names_of
from tests.integration.test_access import METHODS, asking
from tests.keys import bearer, make_key
from tests.serving import WAIT, make_test_app, working

NDJSON = {"Content-Type": "application/x-ndjson"}
ONCE = {"Idempotency-Key": "order-1"}
LINES = b'{"candidates": ["a"]}\n{"candidates": ["b"]}\n'

Sent = dict[str, str]


@pytest.fixture
async def ada(sqlite_database: Database) -> Sent:
    return bearer(await make_key(sqlite_database, "ada"))


@pytest.fixture
async def bob(sqlite_database: Database) -> Sent:
    return bearer(await make_key(sqlite_database, "bob"))


@pytest.fixture
async def client(sqlite_database: Database, fake_queue: Queue) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        yield client


async def test_anothers_job_and_bulk_are_as_unknown_as_one_that_never_was(
    sqlite_database: Database, fake_queue: Queue, ada: Sent, bob: Sent
) -> None:
    """On every route that takes an id: the same answer to the byte, but for the id that was asked for."""
    app = make_test_app(sqlite_database, fake_queue)
    paths = [path for route in app.routes if "_id}" in (path := str(getattr(route, "path", "")))]
    assert {"/jobs/{job_id}", "/bulk/{bulk_id}", "/bulk/{bulk_id}/results"} <= set(paths)
    async with asking(app) as client:
        async with working(sqlite_database, fake_queue):
            ended = (await client.post("/add", headers=ada | WAIT)).json()["id"]
            ended_keyed = (await client.post("/add", headers=ada | WAIT | ONCE)).json()["id"]
        waiting = (await client.post("/add", headers=ada)).json()["id"]
        bulk = (await client.post("/bulk/animals", headers=ada | NDJSON, content=LINES)).json()["id"]
        line = (await client.get(f"/bulk/{bulk}/results", headers=ada)).text.split('"id":"')[1][:36]
        for path in paths:
            unknown = str(new_bulk_id() if "bulk" in path else new_id())
            for hers in (ended, ended_keyed, waiting, bulk, line):
                for method in METHODS:
                    for more in ({}, {"Prefer": "wait=1"}):
                        told = [await _told(client, method, path, id_, bob | more) for id_ in (hers, unknown)]
                        assert told[0] == told[1], (method, path)
                        assert told[0][0] in {404, 405, 422}, (method, path)
        # Nothing of what Bob tried has touched them.
        assert (await client.get(f"/jobs/{waiting}", headers=ada)).json()["status"] == "queued"
        assert (await client.get(f"/bulk/{bulk}", headers=ada)).json()["counts"] == {"queued": 2}


async def _told(
    client: httpx.AsyncClient, method: str, path: str, id_: str, headers: Sent
) -> tuple[int, dict[str, str], str]:
    place = path.partition("{")[0] + id_ + path.partition("}")[2]
    answer = await client.request(method, place, headers=headers)
    told = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status_code, told, answer.text.replace(id_, "…")


async def test_keys_of_one_name_see_the_same_and_a_revoked_one_does_not_take_the_jobs_along(
    sqlite_database: Database, client: httpx.AsyncClient, ada: Sent
) -> None:
    job = (await client.post("/add", headers=ada)).json()["links"]["self"]
    rotated = bearer(await make_key(sqlite_database, "ada", Scope.READ))
    assert (await client.get(job, headers=rotated)).status_code == 200


async def test_an_admin_sees_everybodys(sqlite_database: Database, client: httpx.AsyncClient, ada: Sent) -> None:
    admin = bearer(await make_key(sqlite_database, "root", Scope.ADMIN))
    job = (await client.post("/add", headers=ada)).json()["links"]["self"]
    bulk = (await client.post("/bulk/animals", headers=ada | NDJSON, content=LINES)).json()["links"]
    assert (await client.get(job, headers=admin)).status_code == 200
    assert (await client.get(bulk["self"], headers=admin)).json()["lines"] == 2
    assert (await client.get(bulk["results"], headers=admin)).text.count('"status":"queued"') == 2
    assert (await client.delete(job, headers=admin)).json()["status"] == "cancelled"
    assert (await client.get(job, headers=ada)).json()["status"] == "cancelled"


async def test_the_idempotency_keys_of_two_callers_do_not_meet(
    sqlite_database: Database, fake_queue: Queue, client: httpx.AsyncClient, ada: Sent, bob: Sent
) -> None:
    async with working(sqlite_database, fake_queue):
        for wish in ("Max", "Cody"):
            await client.post("/add", headers=ada | ONCE, json={"candidates": ["Max"]})
            answer = await client.post("/add", headers=bob | ONCE | WAIT, json={"candidates": ["Cody"]})
            assert (answer.status_code, answer.json()["result"]["name"]) == (200, "Cody"), wish
        hers = (await client.post("/add", headers=ada | ONCE | WAIT, json={"candidates": ["Max"]})).json()
        assert hers["result"]["name"] == "Max"
        # Her other key is the same caller.
        other = bearer(await make_key(sqlite_database, "ada"))
        assert (await client.post("/add", headers=other | ONCE | WAIT, json={"candidates": ["Max"]})).json() == hers
    assert await names_of(sqlite_database) == ["Cody", "Max"]


async def test_the_bulks_of_two_callers_do_not_meet_under_one_key(
    client: httpx.AsyncClient, ada: Sent, bob: Sent, fake_queue: Queue
) -> None:
    for headers, lines in ((ada, LINES), (bob, b'{"candidates": ["c"]}\n')):
        for _ in range(2):
            answer = await client.post("/bulk/animals", headers=headers | NDJSON | ONCE, content=lines)
            assert (answer.status_code, answer.json()["lines"]) == (202, lines.count(b"\n"))
    assert await fake_queue.depth() == 3


async def test_what_was_added_through_the_open_door_is_for_admins_once_it_is_closed(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        job = (await client.post("/add")).json()["links"]["self"]
        bob = bearer(await make_key(sqlite_database, "bob"))
        admin = bearer(await make_key(sqlite_database, "root", Scope.ADMIN))
        assert (await client.get(job, headers=bob)).status_code == 404
        assert (await client.get(job, headers=admin)).status_code == 200
        assert (await client.get(f"/jobs/{uuid4()}")).status_code == 401
