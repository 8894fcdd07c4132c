"""dibs below a path of its server, mounted in another app or behind a proxy: every address that it tells is there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from dibs import Dibs, Exhausted, Refused, Status, Succeeded
from dibs.entrance import address_of, bound
from dibs.http_protocol import Bounds
from dibs.http_server import answering
from dibs.signals import Stop
from shared.database import Database
from shared.problems import Kind
from shared.queue import Queue
from shared.receipts import read_receipts
from shared.scopes import Scope
from shared.settings import SettingsError
from tests.build import make_settings
from tests.integration.crawling import crawl
from tests.keys import bearer, make_key
from tests.serving import WAIT, ended, make_test_app, working

ROOT = "/shop/names"

MOUNTED, PROXY = "mounted", "behind a proxy"

STARTS = ("/", "/jobs?limit=1", "/jobs?status=queued", "/collections", "/collections/animals?limit=1", "/problems")


def placed(app: FastAPI, how: str) -> tuple[FastAPI, str]:
    """What stands at the root of the server, and the `root_path` that the server itself tells of."""
    if how == PROXY:
        return app, ROOT
    outer = FastAPI()
    outer.mount("/names", app)
    return outer, "/shop"


@asynccontextmanager
async def standing(
    database: Database, queue: Queue, how: str, *, key: str = "", **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    app = make_test_app(database, queue, **settings)
    outer, root_path = placed(app, how)
    transport = httpx.ASGITransport(outer, root_path=root_path, raise_app_exceptions=False)
    headers = bearer(key) if key else {}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://dibs.test", headers=headers, timeout=60) as client,
    ):
        yield client


@pytest.fixture(params=[MOUNTED, PROXY])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def fill(client: httpx.AsyncClient) -> None:
    """A job of every kind, two bulks, and pages that have a next one."""
    adds: list[tuple[str, Any]] = [
        ("", None), ("", None), ("", {"candidates": ["Max"]}),
        ("/handles", {"candidates": [{"handle": "max"}], "values": {"tenant": "nobody", "owner": "Ada"}}),
    ]  # fmt: skip
    for where, content in adds:
        job = (await client.post(f"{ROOT}/add{where}", json=content, headers=WAIT)).json()
        assert job["links"]["self"] == f"{ROOT}/jobs/{job['id']}"
    assert job["status"] == "failed"
    assert job["error"]["type"] == f"{ROOT}/problems/refused-by-database"
    again = await client.post(f"{job['links']['self']}/retry", headers=WAIT)
    assert again.json()["links"]["retry_of"] == job["links"]["self"]
    lines = b'{"candidates": ["Bea"]}\nnot an add\n'
    headers = {"Content-Type": "application/x-ndjson"}
    bulk = await client.post(f"{ROOT}/bulk/animals", content=lines, headers=headers)
    assert bulk.headers["location"] == bulk.json()["links"]["self"] == f"{ROOT}/bulk/{bulk.json()['id']}"
    await client.get(bulk.headers["location"], headers=WAIT)


@pytest.mark.parametrize("with_keys", [False, True])
async def test_every_address_that_is_told_is_there(
    sqlite_database: Database, fake_queue: Queue, how: str, *, with_keys: bool
) -> None:
    key = await make_key(sqlite_database, "shop", Scope.ADMIN) if with_keys else ""
    async with standing(sqlite_database, fake_queue, how, key=key) as client:
        async with working(sqlite_database, fake_queue):
            await fill(client)
        waiting = await client.post(f"{ROOT}/add", json={"candidates": ["Cleo"]})
        assert waiting.headers["location"] == waiting.json()["links"]["self"]
        found = await crawl(client, ROOT, *STARTS)
        jobs = (await client.get(f"{ROOT}/jobs")).json()["jobs"]
        bulk = next(job for job in jobs if job["status"] == "failed")
        assert f"{ROOT}/jobs/{bulk['id']}" in {address for _, address in found.asked}
    assert found.wrong == []
    asked = {address.removeprefix(ROOT).partition("?")[0].rpartition("/")[0] for _, address in found.asked}
    assert asked >= {"/jobs", "/bulk", "/problems", "/collections", "/ui/jobs", "/ui/bulk", "/ui/static", "/ui", ""}
    assert ("POST", f"{ROOT}/ui/jobs/{waiting.json()['id']}/cancel") in found.asked


async def test_an_ended_job_is_told_as_an_event_with_its_addresses(
    sqlite_database: Database, fake_queue: Queue, how: str
) -> None:
    async with standing(sqlite_database, fake_queue, how) as client, working(sqlite_database, fake_queue):
        job = await ended(client, (await client.post(f"{ROOT}/add")).json())
        events = await client.get(f"{job['links']['self']}/events")
        assert f'"self":"{ROOT}/jobs/{job["id"]}"' in events.text
        results = await crawl(client, ROOT, f"/jobs/{job['id']}/events")
    assert results.wrong == []
    assert ("GET", f"{ROOT}/collections/animals") in results.asked


async def test_refusals_lead_to_what_they_mean(sqlite_database: Database, fake_queue: Queue, how: str) -> None:
    async with standing(sqlite_database, fake_queue, how) as client:
        calls = [
            client.get(f"{ROOT}/nowhere"), client.get(f"{ROOT}/ui/static/nothing.css"), client.put(f"{ROOT}/add"),
            client.get(f"{ROOT}/jobs", params={"limit": 0}), client.post(f"{ROOT}/add", json={"candidates": []}),
            client.get(f"{ROOT}/jobs/none"),
        ]  # fmt: skip
        for call in calls:
            answer = await call
            assert (await client.get(answer.json()["type"])).json()["status"] == answer.status_code
            assert answer.json()["type"].startswith(f"{ROOT}/problems/")
        assert (await client.put(f"{ROOT}/add")).headers["allow"] == "POST"


async def test_openapi_says_where_the_server_is(sqlite_database: Database, fake_queue: Queue, how: str) -> None:
    async with standing(sqlite_database, fake_queue, how) as client:
        told = (await client.get(f"{ROOT}/openapi.json")).json()
        assert told["servers"] == [{"url": ROOT}]
        for path, operations in told["paths"].items():
            if "get" in operations and "{" not in path:
                assert (await client.get(told["servers"][0]["url"] + path)).status_code < 400


async def test_nobody_without_a_key_comes_in(sqlite_database: Database, fake_queue: Queue, how: str) -> None:
    key = await make_key(sqlite_database, "shop")
    async with standing(sqlite_database, fake_queue, how) as client:
        for _ in range(2):  # the second time, what the address needs is remembered
            assert (await client.post(f"{ROOT}/add")).status_code == 401
            assert (await client.get(f"{ROOT}/health/live")).status_code == 200
            assert (await client.post(f"{ROOT}/add", headers=bearer(key))).status_code == 202
        refused = await client.post(f"{ROOT}/add")
        assert refused.json()["type"] == f"{ROOT}/problems/unauthorized"


async def test_a_browser_logs_in_and_out(sqlite_database: Database, fake_queue: Queue, how: str) -> None:
    key = await make_key(sqlite_database, "shop", Scope.ADMIN)
    html = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    async with standing(sqlite_database, fake_queue, how) as client:
        client.headers.update(html)
        sent_away = await client.get(f"{ROOT}/ui/jobs", params={"status": "failed"})
        assert sent_away.headers["location"] == f"{ROOT}/ui/login?next=%2Fui%2Fjobs%3Fstatus%3Dfailed"
        assert (await client.get(sent_away.headers["location"])).status_code == 200
        live = await client.get(f"{ROOT}/ui/jobs", headers={"HX-Request": "true"})
        assert live.headers["hx-redirect"] == f"{ROOT}/ui/login"
        fields = {"key": key, "next": "/ui/jobs?status=failed"}
        let_in = await client.post(f"{ROOT}/ui/login", data=fields)
        assert let_in.headers["location"] == f"{ROOT}/ui/jobs?status=failed"
        assert f"Path={ROOT};" in let_in.headers["set-cookie"]
        assert (await client.get(let_in.headers["location"])).status_code == 200
        other = {"Cookie": f"dibs_key={key}; dibs_key=that_of_another_dibs_on_this_host"}
        assert (await client.get(f"{ROOT}/ui/jobs", headers=other)).status_code == 200
        gone = await client.post(f"{ROOT}/ui/logout")
        assert f"Path={ROOT};" in gone.headers["set-cookie"]
        assert dict(client.cookies) == {}


async def test_a_link_from_another_site_bounces_below_the_root(
    sqlite_database: Database, fake_queue: Queue, how: str
) -> None:
    await make_key(sqlite_database, "shop")
    async with standing(sqlite_database, fake_queue, how) as client:
        bounced = await client.get(f"{ROOT}/ui/jobs", headers={"Accept": "text/html", "Sec-Fetch-Site": "cross-site"})
        assert f'url={ROOT}/ui/jobs"' in bounced.text
        assert f'href="{ROOT}/ui/login?next' in bounced.text


async def test_the_door_that_is_open_to_this_machine_is_closed_to_others(
    sqlite_database: Database, fake_queue: Queue, how: str
) -> None:
    async with standing(sqlite_database, fake_queue, how) as client:
        elsewhere = await client.post(f"{ROOT}/add", headers={"X-Forwarded-For": "203.0.113.5"})
        assert elsewhere.status_code == 403


async def test_nothing_that_is_kept_knows_of_the_root(sqlite_database: Database, redis_queue: Queue, how: str) -> None:
    async with standing(sqlite_database, redis_queue, how) as client:
        bulk = await client.post(
            f"{ROOT}/bulk/animals", content=b"not an add\n", headers={"Content-Type": "application/x-ndjson"}
        )
        add = {"candidates": [{"handle": "max"}], "values": {"tenant": "nobody", "owner": "Ada"}}
        await client.post(f"{ROOT}/add/handles", json=add)
        kept = [await redis_queue.redis.dump(name) for name in await redis_queue.redis.keys("*")]
        assert kept
        assert not any(ROOT.encode() in (value or b"") for value in kept)
        async with working(sqlite_database, redis_queue):
            await client.get(bulk.headers["location"], headers=WAIT)
        jobs = (await client.get(f"{ROOT}/jobs")).json()["jobs"]
        async with sqlite_database.reads() as session:
            receipts = await read_receipts(session, [UUID(job["id"]) for job in jobs])
    errors = [receipt.error for receipt in receipts.values() if receipt.error]
    assert errors
    assert {error.type for error in errors} <= {f"/problems/{kind}" for kind in Kind}


async def test_metrics_know_the_route_and_not_the_root(sqlite_database: Database, fake_queue: Queue, how: str) -> None:
    async with standing(sqlite_database, fake_queue, how) as client:
        await client.get(f"{ROOT}/health/live")
        told = (await client.get(f"{ROOT}/metrics")).text
    assert 'route="/health/live"' in told
    assert ROOT not in told


@pytest.mark.parametrize("root", ["http://dibs.test/shop/names", "http://dibs.test/shop/names/"])
async def test_the_client_takes_an_address_with_a_path(
    sqlite_database: Database, fake_queue: Queue, how: str, root: str
) -> None:
    async with (
        standing(sqlite_database, fake_queue, how) as http,
        working(sqlite_database, fake_queue),
        Dibs(root, transport=http._transport) as dibs,
    ):
        job = await dibs.add("Ada", wait=20)
        assert isinstance(job.known_outcome, Succeeded)
        assert job.view.links.self == f"{ROOT}/jobs/{job.id}"
        assert isinstance(await (await (await dibs.add("Ada", wait=20)).retry()).outcome(timeout=20), Exhausted)
        many = [outcome async for outcome in dibs.add_many(["Bea", "Ada"])]
        assert [type(outcome) for outcome in many] == [Succeeded, Exhausted]
        assert len([job async for job in dibs.jobs(limit=3)]) == 3
        assert [one.is_new async for one in dibs.retry_all(status=Status.EXHAUSTED)].count(True) == 2
        assert (await dibs.health()).redis
        assert (await dibs.stats()).queue.limit == fake_queue.limit
        assert {collection.name for collection in await dibs.collections()} >= {"animals", "handles"}
        assert (await (await dibs.job(job.id)).cancel()).row["name"] == "Ada"  # type: ignore[union-attr]  # it succeeded
        with pytest.raises(Refused, match="no waiting job"):
            await dibs.job("none")


async def test_a_root_that_a_caller_wrote_leads_to_no_other_server(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    outer = FastAPI()
    outer.mount("/{tenant:path}/names", app)
    transport = httpx.ASGITransport(outer)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://dibs.test") as client,
    ):
        told = await client.post("http://dibs.test//evil.test%20%C3%A4/names/add")
        assert told.headers["location"].startswith("/evil.test%20%C3%A4/names/jobs/")


async def test_a_server_behind_a_proxy_is_told_where_it_is_shown(sqlite_database: Database, fake_queue: Queue) -> None:
    """The proxy takes the path away; what HTTP itself refuses leads there as well."""
    settings = make_settings(root_path=ROOT)
    app = make_test_app(sqlite_database, fake_queue)
    serve = partial(answering, app, bounds=Bounds.of(settings), grace_s=1, drain_s=0, root_path=settings.root_path)
    for at_most, kind in ((100, Kind.HEADERS_TOO_LARGE), (0, Kind.BUSY)):
        with bound("127.0.0.1", 0) as listener:
            url = address_of(listener)
            async with (
                serve(listener=listener, stop=Stop(60), max_connections=at_most),
                httpx.AsyncClient(base_url=url, trust_env=False) as client,
            ):
                if at_most:
                    added = await client.post("/add")
                    assert added.headers["location"] == f"{ROOT}/jobs/{added.json()['id']}"
                refused = await client.post("/add", headers={"X-Long": "x" * (settings.max_header_bytes * at_most)})
        assert refused.json()["type"] == f"{ROOT}/problems/{kind}"


@pytest.mark.parametrize("path", ["names", "/names/", "//names", "/na mes", "/n?"])
def test_a_root_path_is_a_path(path: str) -> None:
    with pytest.raises(SettingsError, match="DIBS_ROOT_PATH"):
        make_settings(root_path=path)
