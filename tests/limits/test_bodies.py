"""What a body may bring: each limit at its number, one past it, and the pointer to what was too much."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from shared.database import Database
from shared.queue import Queue
from tests.limits.connection import Server, listening
from tests.serving import drained, serving, working

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}
LIMITS: dict[str, Any] = {
    "max_body_bytes": 2000,
    "max_line_bytes": 1500,
    "max_candidates": 3,
    "max_json_depth": 4,
    "max_text_chars": 30,
}


@pytest.fixture
async def client(sqlite_database: Database, fake_queue: Queue) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(sqlite_database, fake_queue, **LIMITS) as made:
        yield made


def add(size: int) -> bytes:
    """An add of `size` bytes, blanks included."""
    return b'{"candidates": ["Max"]}'.ljust(size)


def handle(**values: Any) -> dict[str, Any]:
    return {"candidates": [{"handle": "a"}], "values": {"tenant": "acme", "owner": "Ada"} | values}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return value


async def refused(client: httpx.AsyncClient, path: str, content: Any) -> tuple[int, str, str]:
    """Status, pointer and words of the first fault."""
    answer = await client.post(path, json=content)
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, told["errors"][0]["pointer"], told["detail"]


async def test_a_body(client: httpx.AsyncClient) -> None:
    assert (await client.post("/add", content=add(2000), headers=JSON)).status_code == 202
    answer = await client.post("/add", content=add(2001), headers=JSON)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert "2000" in answer.json()["detail"]


async def test_a_line(client: httpx.AsyncClient, sqlite_database: Database, fake_queue: Queue) -> None:
    body = add(1500) + b"\n" + add(1501) + b"\n"
    bulk = (await client.post("/bulk/animals", content=body, headers=NDJSON)).json()
    async with working(sqlite_database, fake_queue):
        await drained(fake_queue)
    jobs = [orjson.loads(line) for line in (await client.get(bulk["links"]["results"])).content.splitlines()]
    assert [job["status"] for job in jobs] == ["succeeded", "failed"]
    assert (jobs[1]["error"]["type"], jobs[1]["error"]["detail"]) == (
        "/problems/too-large",
        "line 2 is longer than 1500 bytes",
    )


async def test_candidates(client: httpx.AsyncClient) -> None:
    assert (await client.post("/add", json={"candidates": ["a", "b", "c"]})).status_code == 202
    status, pointer, detail = await refused(client, "/add", {"candidates": ["a", "b", "c", "d"]})
    assert (status, pointer) == (422, "/candidates")
    assert "3" in detail


async def test_nesting(client: httpx.AsyncClient) -> None:
    assert (await client.post("/add/handles", json=handle(tags=nested(4)))).status_code == 202
    status, pointer, detail = await refused(client, "/add/handles", handle(tags=nested(5)))
    assert (status, pointer) == (422, "/values/tags")
    assert "4 levels" in detail


@pytest.mark.parametrize("name", ["tags", "email"])
async def test_texts(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.post("/add/handles", json=handle(**{name: "🐈" * 30}))).status_code == 202
    status, pointer, detail = await refused(client, "/add/handles", handle(**{name: "🐈" * 31}))
    assert (status, pointer) == (422, f"/values/{name}")
    assert "30" in detail


async def test_a_member_name_in_json_is_a_text_too(client: httpx.AsyncClient) -> None:
    assert (await client.post("/add/handles", json=handle(tags={"x" * 30: 1}))).status_code == 202
    assert (await refused(client, "/add/handles", handle(tags={"x" * 31: 1})))[:2] == (422, "/values/tags")


async def test_a_text_for_a_column_is_counted_in_code_points(client: httpx.AsyncClient) -> None:
    values = {"tenant": "acme", "owner": "Ada"}
    answer = await client.post("/add/handles", json={"candidates": [{"handle": "e\u0301" * 15}], "values": values})
    assert answer.status_code == 202
    status, pointer, _ = await refused(client, "/add/handles", handle(plan="🐈" * 11))
    assert (status, pointer) == (422, "/values/plan")


@pytest.mark.parametrize(
    "number",
    ["1e400", "-1e400", "9" * 400, "9223372036854775808", "-9223372036854775809", "NaN", "Infinity", "-Infinity"],
)
async def test_numbers_that_nothing_can_hold(client: httpx.AsyncClient, number: str) -> None:
    content = orjson.dumps(handle(tags="N")).replace(b'"N"', f'{{"a": [{number}]}}'.encode())
    answer = await client.post("/add/handles", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/values/tags")


async def test_a_literal_with_more_digits_than_a_parser_reads_is_no_json(client: httpx.AsyncClient) -> None:
    content = b'{"candidates": [' + b"1" * 1900 + b"]}"
    assert (await client.post("/add", content=content, headers=JSON)).status_code == 422
    async with asyncio.timeout(5):
        answer = await client.post("/bulk/animals", content=b"[" + b"1" * 1_000_000 + b"]\n", headers=NDJSON)
    assert answer.status_code == 202


@pytest.mark.parametrize("number", ["12.345", "1234567", "1e3", "1_0", " 1", "\u0661", "", "NaN", "0x1"])
async def test_decimals_in_text_are_plain_numbers(client: httpx.AsyncClient, number: str) -> None:
    assert (await refused(client, "/add/handles", handle(fee=number)))[:2] == (422, "/values/fee")


async def test_a_name_that_is_no_column_is_not_sent_back_however_long(client: httpx.AsyncClient) -> None:
    status, pointer, _ = await refused(client, "/add", {"candidates": [{"x" * 1000: 1}]})
    assert (status, pointer) == (422, "/candidates/0")


SLOW = {"body_timeout_s": 0.2, "header_timeout_s": 5}
HEAD = b"HTTP/1.1\r\nHost: dibs\r\nTransfer-Encoding: chunked\r\nContent-Type: application/"


@pytest.fixture
async def server(sqlite_database: Database, fake_queue: Queue) -> AsyncIterator[Server]:
    async with listening(sqlite_database, fake_queue, **SLOW) as made:
        yield made


async def test_an_add_that_does_not_come_in_time_is_a_408_however_it_drips(server: Server, fake_queue: Queue) -> None:
    async with server.connection() as connection:
        await connection.say(b"POST /add " + HEAD + b"json\r\n\r\n")
        dripping = asyncio.create_task(_drip(connection.say))
        answer = await connection.answer()
        dripping.cancel()
        assert (answer.status, answer.problem, answer.headers["connection"]) == (408, "too-slow", "close")
    assert await fake_queue.depth() == 0


async def _drip(say: Any) -> None:
    while True:
        await say(b"1\r\n \r\n")
        await asyncio.sleep(0.02)


async def test_a_bulk_may_drip_but_not_fall_silent(server: Server, fake_queue: Queue) -> None:
    line = b'{"candidates": ["Max"]}\n'
    async with server.connection() as connection:
        await connection.say(b"POST /bulk/animals " + HEAD + b"x-ndjson\r\n\r\n")
        for _ in range(10):
            await connection.say(b"%x\r\n" % len(line) + line + b"\r\n")
            await asyncio.sleep(0.05)
        answer = await connection.answer()
        assert (answer.status, answer.problem) == (408, "too-slow")
        assert b"under a key" in answer.body


async def test_a_body_that_is_promised_and_never_comes_is_a_408(server: Server) -> None:
    answer = await server.ask(b"POST /add HTTP/1.1\r\nHost: dibs\r\nContent-Length: 10\r\n\r\n")
    assert (answer.status, answer.problem) == (408, "too-slow")
