"""What the door refuses: each with a stable type and a pointer, and nothing is taken in."""

from typing import Any

import pytest

from shared.database import Database
from shared.queue import Queue
from tests.serving import serving

HANDLE = {"handle": "x"}
TENANT = {"tenant": "one"}
VALUES: dict[str, Any] = {**TENANT, "owner": "Ada"}
FEE = {"fee": True}
NUL = {"tags": {"a": ["\0"]}}

INVALID: list[tuple[str, str, Any, str]] = [
    ("a required column is missing", "/add/handles", {"candidates": [HANDLE], "values": TENANT}, "/candidates/0/owner"),
    ("too long", "/add", {"candidates": ["ok", "x" * 256]}, "/candidates/1"),
    ("of the wrong type", "/add", {"candidates": [7]}, "/candidates/0"),
    ("of the wrong type in values", "/add/handles", {"candidates": [HANDLE], "values": VALUES | FEE}, "/values/fee"),
    ("with a NUL character", "/add", {"candidates": [{"name": "a\0b"}]}, "/candidates/0/name"),
    ("with a NUL deep in JSON", "/add/handles", {"candidates": [HANDLE], "values": VALUES | NUL}, "/values/tags"),
    ("an unknown column", "/add", {"candidates": [{"nom": "x"}]}, "/candidates/0/nom"),
    ("the id, which the database counts", "/add", {"candidates": [{"name": "x", "id": 1}]}, "/candidates/0/id"),
    ("no candidates", "/add", {"candidates": []}, "/candidates"),
    ("too many candidates", "/add", {"candidates": [str(n) for n in range(1001)]}, "/candidates"),
    ("a text where the key has two columns", "/add/handles", {"candidates": ["x"], "values": VALUES}, "/candidates/0"),
    ("an unknown member", "/add", {"candidates": ["x"], "then": 1}, "/then"),
    ("no object at all", "/add", ["Max"], ""),
]  # fmt: skip


@pytest.mark.parametrize(("path", "add", "pointer"), [case[1:] for case in INVALID], ids=[case[0] for case in INVALID])
async def test_an_add_that_does_not_fit_is_a_422_with_a_pointer(
    sqlite_database: Database, fake_queue: Queue, path: str, add: Any, pointer: str
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post(path, json=add)
    told = answer.json()
    assert answer.status_code == told["status"] == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["type"] == "/problems/invalid"
    assert pointer in [error["pointer"] for error in told["errors"]]
    assert await fake_queue.depth() == 0


@pytest.mark.parametrize(
    "body", [b"{", b'{"candidates": ["\\ud800"]}', b"\xff", b"[" * 100_000, b'{"candidates":[1e999]}x']
)
async def test_a_body_that_is_no_json_is_a_400(sqlite_database: Database, fake_queue: Queue, body: bytes) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post("/add", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed")
    assert await fake_queue.depth() == 0


async def test_a_body_of_another_kind_is_a_415(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post("/add", data={"candidates": "Max"})
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")


async def test_a_body_past_the_limit_is_a_413_whether_it_says_so_or_not(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    async def unsaid() -> Any:
        for _ in range(3):
            yield b" " * 1000

    headers = {"Content-Type": "application/json"}
    async with serving(sqlite_database, fake_queue, max_body_bytes=2000) as client:
        for content in (b" " * 3000, unsaid()):
            answer = await client.post("/add", content=content, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")


async def test_an_unknown_collection_is_a_404_that_says_what_there_is(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        for answer in (await client.post("/add/plants"), await client.get("/collections/plants")):
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-collection")
            assert answer.json()["detail"] == "there is no 'plants', only animals, handles"


async def test_nothing_else_is_there(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.get("/nowhere")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
        answer = await client.put("/add")
        assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed")
        assert answer.headers["allow"] == "POST"


async def test_a_405_names_every_method_of_the_address(sqlite_database: Database, fake_queue: Queue) -> None:
    job = "01920000-0000-7000-8000-000000000000"
    async with serving(sqlite_database, fake_queue) as client:
        answers = [await client.put(path) for path in (f"/jobs/{job}", f"/bulk/{job}", "/bulk/animals", "/add/animals")]
    assert [answer.headers["allow"] for answer in answers] == ["DELETE, GET", "GET", "POST", "POST"]


async def test_a_full_queue_is_a_503_and_takes_nothing_in(sqlite_database: Database, fake_queue: Queue) -> None:
    fake_queue.limit = 2
    async with serving(sqlite_database, fake_queue) as client:
        answers = [await client.post("/add") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 503]
    assert answers[2].json()["type"] == "/problems/queue-full"
    assert int(answers[2].headers["retry-after"]) > 0
    assert await fake_queue.depth() == 2
