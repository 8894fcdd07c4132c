"""Every route of the app, whoever asks: found by the app's own list, so that a new one cannot be forgotten."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Response
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from api.access import endpoint_of
from api.callers import Needs, Scope, needs_of
from api.keyring import Keyring
from shared.database import Database, open_database
from shared.queue import Queue
from tests.build import make_settings
from tests.keys import bearer, make_key, with_another_secret
from tests.serving import make_test_app

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

FOR_EVERYBODY = {"/health/live", "/health/ready"}

OPEN_PAGE = Needs(frozenset(), is_for_everybody=True, is_page=True)
"""The form that takes a key, and what a page looks like: tests/page says what they tell."""

NOWHERE = ("/nowhere", "/", "/add/nothing", "/jobs/", "/docs", "/redoc", "//add", "/health", "/health/live/")

MALFORMED = ["", "Bearer", "Bearer ", "Basic ZGlicw==", "bearer dibs_", "Bearer dibs_äöü", "Token x", "Bearer a b"]


def routes_of(app: FastAPI) -> Iterator[tuple[str, str, Needs]]:
    """Each method and address that answers, and what it needs."""
    for route in app.routes:
        for method in sorted(getattr(route, "methods", None) or METHODS):
            yield method, address(route), needs_of(endpoint_of(route))


def address(route: BaseRoute) -> str:
    """The route's path with something in the place of its parameters."""
    path: str = getattr(route, "path", "")
    for name in getattr(route, "param_convertors", {}):
        value = "animals" if name == "collection" else str(uuid4())
        path = path.replace("{" + name + "}", value).replace("{" + name + ":path}", value)
    return path


@asynccontextmanager
async def asking(app: FastAPI, client: tuple[str, int] = ("127.0.0.1", 5)) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://dibs.test") as http,
    ):
        yield http


@pytest.fixture
async def strangers(sqlite_database: Database) -> dict[str, list[tuple[bytes, bytes]]]:
    """What strangers send, after a key was made."""
    key = await make_key(sqlite_database, "ada")
    keys = {
        "wrong": with_another_secret(key),
        "of another dibs": "dibs_0000000000_" + "0" * 38,
        "revoked": await make_key(sqlite_database, "ada", Scope.ADMIN, is_revoked=True),
        "expired": await make_key(sqlite_database, "ada", Scope.ADMIN, expires_in=timedelta(0)),
    }
    sent = {what: [(b"authorization", f"Bearer {key}".encode())] for what, key in keys.items()}
    sent |= {f"malformed: {text!r}": [(b"authorization", text.encode())] for text in MALFORMED}
    right = (b"authorization", f"Bearer {key}".encode())
    return {"nothing": [], "two keys": [right, right], "in another header": [(b"x-api-key", key.encode())]} | sent


async def test_a_stranger_gets_nothing_anywhere(
    sqlite_database: Database, fake_queue: Queue, strangers: dict[str, list[tuple[bytes, bytes]]]
) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    open_pages = {address(route) for route in app.routes if needs_of(endpoint_of(route)) == OPEN_PAGE}
    places = {(method, address(route)) for route in app.routes for method in METHODS}
    places |= {(method, path) for path in NOWHERE for method in METHODS}
    async with asking(app) as client:
        for headers in strangers.values():
            answers: dict[str, set[tuple[Any, ...]]] = {"HEAD": set(), "else": set()}
            for method, path in places:
                if path in FOR_EVERYBODY | open_pages:
                    continue
                answer = await client.request(method, path, headers=headers, content=b"{}")
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path)
                told_of = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
                told = (answer.content, tuple(sorted(told_of.items())))
                answers["HEAD" if method == "HEAD" else "else"].add(told)
            # Not even the shape of an answer says whether there is something at an address.
            assert all(len(told) == 1 for told in answers.values())
            assert b'"/problems/unauthorized"' in next(iter(answers["else"]))[0]
    assert await fake_queue.depth() == 0


async def test_what_everybody_may_see_says_nothing_but_how_it_stands(
    sqlite_database: Database, fake_queue: Queue, strangers: dict[str, list[tuple[bytes, bytes]]]
) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    open_to_all = [(path, needed) for _, path, needed in routes_of(app) if needed.is_for_everybody]
    assert {path for path, needed in open_to_all if needed != OPEN_PAGE} == FOR_EVERYBODY
    adder = await make_key(sqlite_database, "ada", Scope.ADD)
    reader = await make_key(sqlite_database, "ada", Scope.READ)
    async with asking(app) as client:
        for headers in [*strangers.values(), list(bearer(adder).items())]:
            for path in FOR_EVERYBODY:
                answer = await client.get(path, headers=headers)  # type: ignore[arg-type]  # bytes or text, it takes both
                assert answer.status_code in {200, 503}, "how it stands is not asked here"
                assert list(answer.json()) == ["status"]
        assert "workers" in (await client.get("/health/ready", headers=bearer(reader))).json()


async def test_every_route_has_declared_what_it_needs(sqlite_database: Database, fake_queue: Queue) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    undeclared = [route for route in app.routes if not hasattr(endpoint_of(route), "__dibs_needs__")]
    assert undeclared == [], "say what it needs beside the endpoint: @needs(Scope.…)"
    # These would be served without being in the list.
    assert app.router._low_priority_routes == []


@pytest.mark.parametrize("scope", Scope)
async def test_each_scope_alone_opens_what_has_declared_it_and_nothing_else(
    sqlite_database: Database, fake_queue: Queue, scope: Scope
) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    key = await make_key(sqlite_database, "ada", scope)
    async with asking(app) as client:
        for method, path, needed in routes_of(app):
            from_our_page = {"Sec-Fetch-Site": "same-origin"}
            answer = await client.request(method, path, headers=bearer(key) | from_our_page)
            assert answer.status_code != 401, (method, path)
            is_refused = answer.status_code == 403
            assert is_refused == (not needed.is_for_everybody and scope not in needed.scopes), (method, path)
            if is_refused and method != "HEAD":
                told = answer.json()
                assert told["type"] == "/problems/forbidden"
                assert all(wanted in told["detail"] for wanted in needed.scopes)


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        (Scope.ADD, {"/collections/{collection}"}),
        (Scope.READ, {"/add", "/add/{collection}", "/bulk/{collection}", "/jobs/{job_id}"}),
        (Scope.ADMIN, set()),
    ],
)
async def test_what_the_scopes_leave_out(
    sqlite_database: Database, fake_queue: Queue, scope: Scope, refused: set[str]
) -> None:
    """A key that may add may look at its own job, for that is part of adding; one that reads changes nothing."""
    app = make_test_app(sqlite_database, fake_queue)
    closed = {
        getattr(route, "path", "")
        for route in app.routes
        if not (needed := needs_of(endpoint_of(route))).is_for_everybody and scope not in needed.scopes
    }
    assert refused <= closed
    assert {"/add", "/jobs/{job_id}"}.isdisjoint(closed) or scope is Scope.READ


async def test_a_route_that_declares_nothing_is_for_admins(sqlite_database: Database, fake_queue: Queue) -> None:
    app = make_test_app(sqlite_database, fake_queue)

    @app.get("/forgotten")
    async def forgotten() -> Response:
        return Response("secret")

    app.mount("/mounted", Starlette())
    keys = {scope: await make_key(sqlite_database, "ada", scope) for scope in Scope}
    async with asking(app) as client:
        for path, found in (("/forgotten", 200), ("/mounted/x", 404)):
            assert (await client.get(path)).status_code == 401
            for scope, key in keys.items():
                answer = await client.get(path, headers=bearer(key))
                assert answer.status_code == (found if scope is Scope.ADMIN else 403)


async def test_a_key_holder_is_told_what_is_not_there(sqlite_database: Database, fake_queue: Queue) -> None:
    key = await make_key(sqlite_database, "ada", Scope.READ)
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        assert (await client.get("/nowhere", headers=bearer(key))).status_code == 404
        assert (await client.put("/add", headers=bearer(key))).status_code == 405


async def test_a_websocket_is_closed(sqlite_database: Database, fake_queue: Queue) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    app = make_test_app(sqlite_database, fake_queue)
    await app({"type": "websocket", "path": "/add", "headers": [], "query_string": b""}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_while_there_is_no_key_only_this_machine_may_ask(sqlite_database: Database, fake_queue: Queue) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    async with asking(app, ("203.0.113.9", 5)) as client:
        for method, path, needed in routes_of(app):
            if needed == OPEN_PAGE:
                continue
            answer = await client.request(method, path)
            if needed.is_for_everybody:
                assert list(answer.json()) == ["status"]
                continue
            assert answer.status_code == 403
            assert method == "HEAD" or "dibs keys create" in answer.json()["detail"]
        assert await fake_queue.depth() == 0
        key = await make_key(sqlite_database, "ada")
        assert (await client.post("/add", headers=bearer(key))).status_code == 202
        assert (await client.post("/add")).status_code == 401


async def test_a_web_page_from_elsewhere_cannot_use_the_open_door(sqlite_database: Database, fake_queue: Queue) -> None:
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        assert (await client.post("/add", headers={"Origin": "https://elsewhere.example"})).status_code == 403
        assert (await client.post("/add", headers={"Origin": "http://localhost:8000"})).status_code == 202


async def test_an_unknown_key_is_refused_even_while_the_door_is_open(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    """Whoever sends a key wants to be somebody, and would otherwise be nobody without knowing it."""
    async with asking(make_test_app(sqlite_database, fake_queue)) as client:
        assert (await client.post("/add", headers=bearer("dibs_0000000000_" + "0" * 38))).status_code == 401
        # What somebody in front of us uses for its own ends is not ours to judge.
        assert (await client.post("/add", headers=bearer("another.kind.of.token"))).status_code == 202


async def test_before_the_keys_were_read_nobody_comes_in(fake_queue: Queue) -> None:
    away = open_database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    app = make_test_app(away, fake_queue, keyring=Keyring(away, make_settings()))
    async with asking(app) as client:
        for method, path, needed in routes_of(app):
            if needed == OPEN_PAGE:
                continue
            answer = await client.request(method, path)
            if needed.is_for_everybody:
                assert list(answer.json()) == ["status"]
                continue
            assert answer.status_code == 503, (method, path)
            assert int(answer.headers["retry-after"]) > 0
            assert method == "HEAD" or answer.json()["type"] == "/problems/keys-unread"
    assert await fake_queue.depth() == 0
    await away.close()


async def test_openapi_says_what_each_operation_needs(sqlite_database: Database, fake_queue: Queue) -> None:
    app = make_test_app(sqlite_database, fake_queue)
    async with asking(app) as client:
        schema = (await client.get("/openapi.json")).json()
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for route in app.routes:
        if not getattr(route, "include_in_schema", False):
            continue
        needed = needs_of(endpoint_of(route))
        for method in getattr(route, "methods", ()):
            operation = schema["paths"][getattr(route, "path_format", "")][method.lower()]
            assert {scope for way in operation["security"] for scope in way["key"]} == needed.scopes
            assert ("401" in operation["responses"]) != needed.is_for_everybody
