"""A bulk that is sent in parts under one key, and whose outcomes are read in parts."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from api import door
from shared.database import Database
from shared.queue import Queue
from tests.build import names_of
from tests.integration.test_bulk import KEY, NDJSON, lines
from tests.serving import drained, serving, working

NAMES = [f"n{n:04}" for n in range(1300)]


async def send(client: httpx.AsyncClient, names: list[str], query: str) -> httpx.Response:
    return await client.post(f"/bulk/animals{query}", content=lines(names), headers=NDJSON | KEY)


async def some_results(client: httpx.AsyncClient, bulk: dict[str, Any], query: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (await client.get(bulk["links"]["results"] + query)).text.splitlines()]


async def test_the_parts_are_one_bulk(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client, working(database, queue):
        parts = [
            await send(client, NAMES[:700], "?more=true"),
            await send(client, NAMES[700:1200], "?after=700&more=true"),
            await send(client, NAMES[1200:], "?after=1200"),
        ]
        bulks = [part.json() for part in parts]
        assert [(bulk["lines"], bulk["complete"]) for bulk in bulks] == [(700, False), (1200, False), (1300, True)]
        assert len({bulk["id"] for bulk in bulks}) == 1
        await drained(queue)
        assert (await client.get(bulks[0]["links"]["self"])).json()["counts"] == {"succeeded": 1300}
        found = await some_results(client, bulks[0], "?after=698&limit=601")
        assert [o["line"] for o in found] == list(range(699, 1300))
        assert [o["result"]["name"] for o in found] == NAMES[698:1299]
        assert await some_results(client, bulks[0], "?after=1300") == []


async def test_a_part_that_is_sent_twice_is_taken_in_once(
    database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "GLANCE_S", 30.0)  # a busy machine is not a database that is away
    async with serving(database, fake_queue) as client:
        async with working(database, fake_queue):
            await send(client, NAMES[:600], "?more=true")
            await drained(fake_queue)
        # Nobody works: what has its receipts does not go through the queue again.
        again = (await send(client, NAMES[:600], "?more=true")).json()
        assert (again["lines"], await fake_queue.depth()) == (600, 0)
        longer = (await send(client, NAMES[300:700], "?after=300&more=true")).json()
        assert (longer["lines"], await fake_queue.depth()) == (700, 100)
        async with working(database, fake_queue):
            await drained(fake_queue)
    assert await names_of(database) == NAMES[:700]


async def test_a_slower_caller_does_not_set_a_bulk_back(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:

        async def overtaken(end: int, query: str) -> AsyncIterator[bytes]:
            yield lines(NAMES[:100])
            assert (await send(client, NAMES[:end], query)).is_success
            yield lines(NAMES[100:400])

        async def slowly(end: int, query: str) -> None:
            sent = await client.post("/bulk/animals?more=true", content=overtaken(end, query), headers=NDJSON | KEY)
            assert sent.is_success

        await slowly(700, "?more=true")
        assert (await send(client, NAMES[700:900], "?after=700&more=true")).json()["lines"] == 900
        await slowly(900, "")
        whole = (await send(client, [], "?more=true")).json()
        assert (whole["lines"], whole["complete"]) == (900, True)


async def test_an_empty_part_asks_how_far_the_bulk_is(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client:
        unknown = (await send(client, [], "?more=true")).json()
        assert (unknown["lines"], unknown["complete"]) == (0, False)
        await send(client, NAMES[:10], "?more=true")
        begun = (await send(client, [], "?more=true")).json()
        assert (begun["lines"], begun["complete"]) == (10, False)
        await send(client, [], "?after=10")
        whole = (await send(client, [], "?more=true")).json()
        assert (whole["lines"], whole["complete"]) == (10, True)


@pytest.mark.parametrize(
    ("names", "query", "kind", "told"),
    [
        (["x"], "?after=3&more=true", "invalid", "up to line 2, not 3"),
        (["x"], "?after=1&more=true", "idempotency-key-reused", "line 2 was another"),
        (["a"], "", "idempotency-key-reused", "2 lines"),
    ],
)
async def test_a_part_that_does_not_fit(
    sqlite_database: Database, fake_queue: Queue, names: list[str], query: str, kind: str, told: str
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        await send(client, ["a", "b"], "?more=true")
        answer = await send(client, names, query)
        assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{kind}")
        assert told in answer.json()["detail"]
        assert await fake_queue.depth() == 2


async def test_a_whole_bulk_takes_no_more(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        await send(client, ["a", "b"], "")
        answer = await send(client, ["c"], "?after=2")
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
        assert await fake_queue.depth() == 2


async def test_parts_need_a_key(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post("/bulk/animals?more=true", content=lines(["a"]), headers=NDJSON)
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed")
        assert "Idempotency-Key" in answer.json()["detail"]
        assert (await client.post("/bulk/animals?after=-1", content=b"", headers=NDJSON)).status_code == 422
