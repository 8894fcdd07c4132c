"""Collections, health and the schema: what can be asked without adding anything."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.database import Database, open_database
from shared.queue import Queue
from shared.redis import open_redis
from tests.serving import WAIT, read_keyring, serving, working
from tests.waiting import until


@pytest.fixture
async def client(database: Database, fake_queue: Queue) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(database, fake_queue) as client:
        yield client


async def test_the_collections_say_what_they_take(client: httpx.AsyncClient) -> None:
    found = {c["name"]: c for c in (await client.get("/collections")).json()["collections"]}
    assert found["animals"]["key"] == ["name"]
    assert found["handles"]["key"] == ["tenant", "handle"]
    assert "tenants" not in found
    columns = found["handles"]["add_schema"]["$defs"]["handles_row"]["properties"]
    assert columns["handle"] == {"maxLength": 40, "pattern": r"^[^\u0000]*$", "title": "Handle", "type": "string"}
    assert "id" not in columns


async def test_the_rows_come_in_pages(database: Database, fake_queue: Queue) -> None:
    names = [f"n{i}" for i in range(5)]
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        for name in names:
            await client.post("/add", json={"candidates": [name]}, headers=WAIT)
        seen, path = [], "/collections/animals?limit=2"
        while path:
            page = (await client.get(path)).json()
            assert len(page["rows"]) <= 2
            seen += [row["name"] for row in page["rows"]]
            path = page["next"]
    assert seen == names


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=W10", "cursor=%ff"])
async def test_a_page_that_cannot_be_is_a_422(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/collections/animals?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"].startswith("/query/")


async def test_it_is_ready_when_there_is_a_worker(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client:
        assert (await client.get("/health/live")).json() == {"status": "live"}
        idle = (await client.get("/health/ready")).json()
        assert (idle["status"], idle["workers"]) == ("degraded", 0)
        async with working(database, fake_queue):
            await until(lambda: is_ready(client))
            busy = (await client.get("/health/ready")).json()
    assert (busy["status"], busy["database"], busy["workers"]) == ("ready", "current", 1)


async def is_ready(client: httpx.AsyncClient) -> bool:
    """The worker says that it lives with its first beat, which need not come before its first job has ended."""
    return bool((await client.get("/health/ready")).json()["status"] == "ready")


async def test_without_the_database_it_is_degraded_and_still_takes_adds(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    away = open_database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    keyring = await read_keyring(sqlite_database)
    async with serving(away, fake_queue, keyring=keyring) as client:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert answer.json()["database"] == "away"
        assert (await client.post("/add")).status_code == 202
        rows = await client.get("/collections/animals")
        assert (rows.status_code, rows.json()["type"]) == (503, "/problems/database-away")
        assert int(rows.headers["retry-after"]) > 0
    await away.close()


async def test_without_redis_it_is_unready_and_takes_nothing(sqlite_database: Database) -> None:
    redis = open_redis("redis://127.0.0.1:1/0")
    async with serving(sqlite_database, Queue(redis, "test", limit=10)) as client:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "unready")
        answer = await client.post("/add")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/queue-away")
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
    await redis.aclose(close_connection_pool=True)


async def test_openapi_shows_each_collection_with_its_columns(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()
    body = schema["paths"]["/add/handles"]["post"]["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/handles_add"}
    assert schema["components"]["schemas"]["handles_row"]["properties"]["owner"]["maxLength"] == 50
    assert schema["paths"]["/add"]["post"]["requestBody"]["required"] is False
    problem_types = schema["paths"]["/add"]["post"]["responses"]["503"]["content"]
    assert list(problem_types) == ["application/problem+json"]


async def test_every_reference_in_openapi_resolves(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/openapi.json")).json()

    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [ref for value in part.values() for ref in references(value)]
        return [ref for item in part for ref in references(item)] if isinstance(part, list) else []

    found = references(schema)
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in schema["components"]["schemas"]
