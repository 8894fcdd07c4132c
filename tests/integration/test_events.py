"""Server-sent events: each change of status, then the outcome, then the end, and nothing twice."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from api import events, waiters
from shared.database import Database
from shared.queue import Queue
from tests.listening import on_a_socket
from tests.serving import serving, working
from tests.waiting import until

Event = dict[str, str]


async def heard(answer: httpx.Response) -> AsyncGenerator[Event, None]:
    """The events of a stream; a comment is one with nothing but that."""
    event: Event = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        if line:
            event[name or "comment"] = value.strip()
        elif event:
            yield event
            event = {}


async def told(client: httpx.AsyncClient, job: dict[str, Any], last_id: str | None = None) -> list[Event]:
    """What is told of `job` until the stream ends."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with client.stream("GET", f"/jobs/{job['id']}/events", headers=headers) as answer:
        assert answer.status_code == 200
        return [event async for event in heard(answer) if "data" in event]


async def spend_a_try(queue: Queue) -> None:
    """As a worker does that took the only batch and met a passing fault."""
    [delivery] = (await queue.take(1, lease_s=10)).deliveries
    await queue.spend_try([delivery.batch])
    await queue.hand_back([delivery.batch], delay_s=0)


async def test_every_status_is_told_and_then_the_outcome(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(waiters, "REST", 1)
    async with on_a_socket(database, queue) as (client, _):
        job = (await client.post("/add")).json()
        async with client.stream("GET", f"/jobs/{job['id']}/events") as answer, aclosing(heard(answer)) as stream:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-accel-buffering"] == "no"
            assert int((await anext(stream))["retry"]) > 0
            seen = [await anext(stream)]
            for _ in range(2):
                [delivery] = (await queue.take(1, lease_s=10)).deliveries
                seen.append(await anext(stream))
                await queue.spend_try([delivery.batch])
                await queue.hand_back([delivery.batch], delay_s=0)
                seen.append(await anext(stream))
            assert (await client.delete(job["links"]["self"])).status_code == 200
            seen += [event async for event in stream]
    assert [event["id"] for event in seen] == [
        "queued.0", "running.0", "retrying.1", "running.1", "retrying.2", "cancelled.2",
    ]  # fmt: skip
    assert [event["event"] for event in seen] == ["status"] * 5 + ["outcome"]
    views = [orjson.loads(event["data"]) for event in seen]
    assert [view["status"] for view in views[::5]] == ["queued", "cancelled"]
    assert {view["id"] for view in views} == {job["id"]}


async def test_the_outcome_is_told_at_once(database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiters, "LOOK_AGAIN_S", 60)
    async with on_a_socket(database, queue) as (client, _):
        job = (await client.post("/add")).json()
        async with client.stream("GET", f"/jobs/{job['id']}/events") as answer, aclosing(heard(answer)) as stream:
            await anext(stream), await anext(stream)
            async with asyncio.timeout(20), working(database, queue):
                outcome = await anext(stream)
        assert outcome["id"] == "succeeded.1"
        assert orjson.loads(outcome["data"]) == (await client.get(job["links"]["self"])).json()


async def test_a_listener_that_comes_back_is_told_what_it_missed_and_nothing_twice(
    database: Database, fake_queue: Queue
) -> None:
    async with serving(database, fake_queue) as client:
        job = (await client.post("/add")).json()
        await spend_a_try(fake_queue)
        await client.delete(job["links"]["self"])
        for last_id in (None, "queued.0", "retrying.1", "nonsense"):
            assert [event["id"] for event in await told(client, job, last_id)] == ["cancelled.1"]
        answer = await client.get(f"/jobs/{job['id']}/events", headers={"Last-Event-ID": "cancelled.1"})
        assert (answer.status_code, answer.content) == (204, b"")


async def test_a_stream_goes_on_from_where_the_last_one_broke_off(database: Database, fake_queue: Queue) -> None:
    async with on_a_socket(database, fake_queue) as (client, _):
        job = (await client.post("/add")).json()
        again = {"Last-Event-ID": "queued.0"}
        async with (
            client.stream("GET", f"/jobs/{job['id']}/events", headers=again) as answer,
            aclosing(heard(answer)) as stream,
        ):
            assert list(await anext(stream)) == ["retry"]
            await client.delete(job["links"]["self"])
            assert [event["id"] async for event in stream] == ["cancelled.0"]


@pytest.mark.parametrize("job", [uuid4(), "none"])
async def test_an_unknown_job_is_a_404(sqlite_database: Database, fake_queue: Queue, job: UUID | str) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answer = await client.get(f"/jobs/{job}/events")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-job")


async def test_a_job_that_is_lost_ends_its_stream(
    sqlite_database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiters, "LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(waiters, "REST", 1)
    async with on_a_socket(sqlite_database, fake_queue) as (client, _):
        job = (await client.post("/add")).json()
        async with client.stream("GET", f"/jobs/{job['id']}/events") as answer, aclosing(heard(answer)) as stream:
            await anext(stream), await anext(stream)
            await fake_queue.redis.flushdb()  # the test's own
            async with asyncio.timeout(10):
                assert [event async for event in stream] == []
        assert (await client.get(job["links"]["self"])).status_code == 404


async def test_streams_are_limited_and_a_listener_that_goes_makes_room(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    async with on_a_socket(sqlite_database, fake_queue, max_event_streams=1) as (client, _):
        job = (await client.post("/add")).json()
        path = f"/jobs/{job['id']}/events"
        async with client.stream("GET", path) as first:
            assert first.status_code == 200
            full = await client.get(path)
            assert (full.status_code, full.json()["type"]) == (503, "/problems/too-many-streams")
            assert int(full.headers["retry-after"]) > 0

        async def has_room() -> bool:
            return (await client.get(f"/jobs/{uuid4()}/events")).status_code == 404

        await until(has_room)
        assert await has_room(), "an unknown job holds a place"


async def test_a_heartbeat_keeps_the_connection(
    sqlite_database: Database, fake_queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    async with on_a_socket(sqlite_database, fake_queue) as (client, _):
        job = (await client.post("/add")).json()
        async with client.stream("GET", f"/jobs/{job['id']}/events") as answer, aclosing(heard(answer)) as stream:
            seen = [await anext(stream) for _ in range(5)]
    assert [event.get("comment") for event in seen[2:]] == ["ping"] * 3


async def test_a_stop_of_the_server_ends_the_streams_at_once(sqlite_database: Database, fake_queue: Queue) -> None:
    async with on_a_socket(sqlite_database, fake_queue) as (client, stop):
        job = (await client.post("/add")).json()
        async with client.stream("GET", f"/jobs/{job['id']}/events") as answer, aclosing(heard(answer)) as stream:
            await anext(stream), await anext(stream)
            stop()
            async with asyncio.timeout(3):
                assert [event async for event in stream] == []
