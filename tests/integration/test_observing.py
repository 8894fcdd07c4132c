"""The id of a request, and what is logged of it and of the jobs in the worker."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest

from api.metrics import ApiMetrics
from api.observing import Observing
from dibs.logs import formatter
from shared.database import Database
from shared.metrics import Metrics
from shared.queue import Queue
from tests.build import ANIMALS, make_hands, make_job
from tests.integration.delivery import deliver, enqueue
from tests.serving import serving
from tests.waiting import held_name, impatient
from worker.hands import Again

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Lines(logging.Handler):
    """The log as `dibs` writes it in JSON."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter("json"))
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))

    def of(self, logger: str) -> list[dict[str, object]]:
        return [line for line in self.lines if line["logger"] == logger]


@pytest.fixture
def log() -> Iterator[Lines]:
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({"X-Request-Id": "abc-123"}, "abc-123"),
        ({"X-Request-Id": "abc-123", "traceparent": TRACEPARENT}, "abc-123"),
        ({"traceparent": TRACEPARENT}, "0af7651916cd43dd8448eb211c80319c"),
        ({"X-Request-Id": "x" * 129}, None),
        ({"X-Request-Id": "a b"}, None),
        ({"X-Request-Id": ""}, None),
        ({"traceparent": "00-nonsense"}, None),
        ({}, None),
    ],
)
async def test_every_answer_has_a_request_id(
    sqlite_database: Database, fake_queue: Queue, headers: dict[str, str], request_id: str | None
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        answers = [await client.get(path, headers=headers) for path in ("/health/live", "/nowhere", "/jobs/x")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    if request_id is not None:
        assert ids == [request_id] * 3
    else:
        assert len(set(ids)) == 3
        assert not set(ids) & set(headers.values())


async def test_a_request_is_a_line_when_everything_is_told(
    sqlite_database: Database, fake_queue: Queue, log: Lines
) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        await client.get("/jobs/nobody", headers={"X-Request-Id": "r-1"})
    [line] = log.of("api.observing")
    took_ms = line.pop("duration_ms")
    assert isinstance(took_ms, float)
    assert 0 < took_ms < 10_000
    assert {name: line[name] for name in ("level", "message", "request_id", "route", "status")} == {
        "level": "debug",
        "message": "GET /jobs/nobody: 404",
        "request_id": "r-1",
        "route": "/jobs/{job_id}",
        "status": 404,
    }


async def test_an_unexpected_error_is_told_once_with_its_request(
    sqlite_database: Database, fake_queue: Queue, log: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_jobs: object) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(fake_queue, "look_at", broken)
    async with serving(sqlite_database, fake_queue) as client:
        job = (await client.post("/add")).json()
        answer = await client.get(job["links"]["self"], headers={"X-Request-Id": "r-2"})
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert answer.headers["x-request-id"] == "r-2"
    [line] = [line for line in log.lines if "exception" in line]
    assert (line["level"], line["request_id"]) == ("error", "r-2")
    assert "nobody expected this" in str(line["exception"])
    assert "nobody expected this" not in answer.text
    [told] = [line for line in log.of("api.observing") if line.get("status") == 500]
    assert told["level"] == "warning"


async def test_an_answer_that_breaks_off_is_still_the_servers_error() -> None:
    async def broken(_scope: object, _receive: object, send: object) -> None:
        assert callable(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("in the middle")

    transport = httpx.ASGITransport(Observing(broken, ApiMetrics(Metrics([]))))
    async with httpx.AsyncClient(transport=transport, base_url="http://dibs.test") as client:
        with pytest.raises(RuntimeError, match="in the middle"):
            await client.get("/")


async def test_what_a_job_meets_is_logged_with_its_id(sqlite_database: Database, fake_queue: Queue, log: Lines) -> None:
    url = sqlite_database.writer.url.render_as_string(hide_password=False)
    job = make_job(ANIMALS, ["Max"])
    async with impatient(url) as hurried:
        hands = make_hands(hurried, fake_queue, max_tries=2)
        batch = await enqueue(hands, ANIMALS, [job])
        async with held_name(sqlite_database, "Max"):
            [delivery] = (await fake_queue.take(1, 10)).deliveries
            assert isinstance(await hands.run([delivery]), Again)
    [line] = [line for line in log.of("worker.hands") if line["level"] == "warning"]
    assert (line["batch"], line["job_id"], line["collection"]) == (batch, str(job.id), "animals")
    assert "SQLITE_BUSY" in str(line["message"])

    await fake_queue.redis.delete(f"arq:in-progress:{batch}")
    await deliver(make_hands(sqlite_database, fake_queue, max_deaths=2), batch, delivery=9)
    [line] = [line for line in log.of("worker.hands") if line["level"] == "error"]
    assert (line["batch"], line["logger"]) == (batch, "worker.hands")
    assert str(job.id) in str(line["message"])


async def test_a_damaged_batch_is_logged_with_its_id(sqlite_database: Database, fake_queue: Queue, log: Lines) -> None:
    hands = make_hands(sqlite_database, fake_queue)
    batch = await enqueue(hands, ANIMALS, [make_job(ANIMALS, ["Max"])])
    await fake_queue.redis.set(f"arq:job:{batch}", b"\x80\x05damaged")
    [delivery] = (await fake_queue.take(1, 10)).deliveries
    await hands.run([delivery])
    [line] = [line for line in log.of("worker.hands") if line["level"] == "error"]
    assert line["batch"] == batch
