"""Many adds in one request: each line a job, taken in as fast as there is room and never twice."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from starlette.requests import ClientDisconnect

from api import bulk_door
from shared.database import Database
from shared.queue import Queue
from tests.build import names_of
from tests.serving import drained, serving, working

NDJSON = {"Content-Type": "application/x-ndjson"}
KEY = {"Idempotency-Key": "import-1"}


def lines(names: Iterable[str]) -> bytes:
    return b"".join(orjson.dumps({"candidates": [name]}) + b"\n" for name in names)


async def results(client: httpx.AsyncClient, bulk: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.get(bulk["links"]["results"])
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [orjson.loads(line) for line in answer.text.splitlines()]


async def test_every_line_has_its_outcome_in_the_order_of_the_lines(database: Database, queue: Queue) -> None:
    names = [f"n{n}" for n in range(1200)]
    names[700] = names[100]
    async with serving(database, queue) as client, working(database, queue):
        answer = await client.post("/bulk/animals", content=lines(names), headers=NDJSON)
        bulk = answer.json()
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/bulk/{bulk['id']}"
        assert (bulk["lines"], bulk["complete"]) == (1200, True)

        await drained(queue)
        found = (await client.get(answer.headers["location"])).json()
        assert found["counts"] == {"succeeded": 1199, "exhausted": 1}
        outcomes = await results(client, bulk)
    assert [outcome["line"] for outcome in outcomes] == list(range(1, 1201))
    won = [o["result"] and o["result"]["name"] for o in outcomes]
    # Two lines want the same name, and their batches may run at the same time.
    loser = won.index(None)
    assert loser in {100, 700}
    assert won == [*names[:loser], None, *names[loser + 1 :]]


async def test_bad_lines_are_told_by_their_number_and_stop_nothing(database: Database, fake_queue: Queue) -> None:
    body = (
        b'{"candidates": ["a"]}\nno json\n{"candidates": [""], "x": 1}\n\n' + b"x" * 3000 + b'\n{"candidates": ["b"]}'
    )
    async with serving(database, fake_queue, max_line_bytes=2000) as client, working(database, fake_queue):
        bulk = (await client.post("/bulk/animals", content=body, headers=NDJSON)).json()
        await drained(fake_queue)
        outcomes = await results(client, bulk)
        counts = (await client.get(bulk["links"]["self"])).json()["counts"]
    kinds = [(o["error"] or {}).get("type") for o in outcomes]
    malformed, invalid, large = "/problems/malformed", "/problems/invalid", "/problems/too-large"
    assert kinds == [None, malformed, invalid, malformed, large, None]
    assert [o["error"]["detail"].partition(":")[0] for o in outcomes[1:4]] == ["line 2", "line 3", "line 4"]
    assert outcomes[2]["error"]["errors"][0]["pointer"] == "/x"
    assert counts == {"succeeded": 2, "failed": 4}
    assert await names_of(database) == ["a", "b"]


async def test_a_bulk_that_broke_off_is_sent_again_and_nothing_is_taken_in_twice(
    database: Database, queue: Queue
) -> None:
    names = [f"n{n:04}" for n in range(1100)]

    async def breaks_off() -> AsyncIterator[bytes]:
        yield lines(names[:600])
        raise ClientDisconnect

    async with serving(database, queue) as client, working(database, queue):
        broken = await client.post("/bulk/animals", content=breaks_off(), headers=NDJSON | KEY)
        assert broken.status_code == 400, "which nobody sees any more"
        assert await queue.redis.exists(queue.batches) or await names_of(database)
        answers = [await client.post("/bulk/animals", content=lines(names), headers=NDJSON | KEY) for _ in range(2)]
        first, again = (answer.json() for answer in answers)
        assert first["id"] == again["id"]
        await drained(queue)
        counts = (await client.get(first["links"]["self"])).json()["counts"]
    assert counts == {"succeeded": 1100}
    assert await names_of(database) == names


async def test_another_line_under_the_same_key_is_refused(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        await client.post("/bulk/animals", content=lines(["a", "b"]), headers=NDJSON | KEY)
        answer = await client.post("/bulk/animals", content=lines(["a", "c"]), headers=NDJSON | KEY)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert "line 2" in answer.json()["detail"]


async def test_jobs_without_an_outcome_are_shown_as_they_stand(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client:
        bulk = (await client.post("/bulk/animals", content=lines(["a", "b"]), headers=NDJSON)).json()
        assert bulk["counts"] is None
        assert (await client.get(bulk["links"]["self"])).json()["counts"] == {"queued": 2}
        assert [(o["line"], o["status"]) for o in await results(client, bulk)] == [(1, "queued"), (2, "queued")]


async def test_a_bulk_is_known_by_its_receipts_after_redis_lost_everything(
    database: Database, fake_queue: Queue
) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        bulk = (await client.post("/bulk/animals", content=lines(["a", "b"]), headers=NDJSON)).json()
        await drained(fake_queue)
        await fake_queue.redis.flushdb()  # the test's own
        found = (await client.get(bulk["links"]["self"])).json()
        assert (found["collection"], found["lines"], found["counts"]) == ("animals", 2, {"succeeded": 2})
        assert [o["result"]["name"] for o in await results(client, bulk)] == ["a", "b"]


async def test_a_full_queue_holds_the_sender_back(database: Database, fake_queue: Queue) -> None:
    fake_queue.limit = 1000
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, 5000, 100):
            read = start
            yield lines(f"n{n}" for n in range(start, start + 100))

    async with serving(database, fake_queue) as client:
        sending = asyncio.create_task(client.post("/bulk/animals", content=body(), headers=NDJSON))
        async with asyncio.timeout(20):
            while await fake_queue.depth() < 1000:  # noqa: ASYNC110  # the sender is another task's business
                await asyncio.sleep(0.01)
        assert not sending.done()
        # Beside what has room, a batch that waits for it, and the next that is being made ready.
        assert read <= 2100, "it reads on although there is no room"
        async with working(database, fake_queue):
            bulk = (await sending).json()
            await drained(fake_queue)
        counts = (await client.get(bulk["links"]["self"])).json()["counts"]
    assert counts == {"succeeded": 5000}


async def test_a_queue_that_stays_full_ends_the_bulk_with_what_was_taken_in(
    sqlite_database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_door, "ROOM_S", 0.2)
    fake_queue.limit = 500
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.post("/bulk/animals", content=lines(str(n) for n in range(1000)), headers=NDJSON)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/queue-full")
    assert int(answer.headers["retry-after"]) > 0
    assert await fake_queue.depth() == 500


async def test_a_bulk_has_no_more_lines_than_can_be_counted(
    sqlite_database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_door, "MAX_LINES", 3)
    async with serving(sqlite_database, fake_queue) as client:
        assert (await client.post("/bulk/animals", content=lines("abc"), headers=NDJSON)).status_code == 202
        answer = await client.post("/bulk/animals", content=lines("abcd"), headers=NDJSON)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")


async def test_what_is_no_bulk_is_told_so(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        assert (await client.post("/bulk/plants", content=b"", headers=NDJSON)).status_code == 404
        assert (await client.post("/bulk/animals", json={})).status_code == 415
        for path in (f"/bulk/{uuid4()}", "/bulk/none", f"/bulk/{uuid4()}/results"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-bulk")


async def test_a_line_that_was_cancelled_is_among_the_results(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client:
        bulk = (await client.post("/bulk/animals", content=lines(["a", "b"]), headers=NDJSON)).json()
        [first, _] = await results(client, bulk)
        assert (await client.delete(first["links"]["self"])).status_code == 200
        async with working(database, fake_queue):
            await drained(fake_queue)
        assert [o["status"] for o in await results(client, bulk)] == ["cancelled", "succeeded"]
        assert (await client.get(bulk["links"]["self"])).json()["counts"] == {"cancelled": 1, "succeeded": 1}


@pytest.mark.parametrize(
    ("collection", "names"), [("animals", ["a"]), ("animals", []), ("animals", ["a", "x"]), ("handles", ["a", "b"])]
)
async def test_a_key_of_a_bulk_that_ended_takes_no_other_bulk(
    database: Database, fake_queue: Queue, collection: str, names: list[str]
) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        bulk = (await client.post("/bulk/animals", content=lines(["a", "b"]), headers=NDJSON | KEY)).json()
        await drained(fake_queue)
        before = (await client.get(bulk["links"]["self"])).json()
        answer = await client.post(f"/bulk/{collection}", content=lines(names), headers=NDJSON | KEY)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
        await drained(fake_queue)
        assert (await client.get(bulk["links"]["self"])).json() == before
