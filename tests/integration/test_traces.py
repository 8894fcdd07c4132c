"""One trace follows an add from its request through Redis to the COMMIT; seen by an exporter in memory."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared.database import Database
from shared.queue import Queue
from shared.receipts import Receipt, write_receipts
from shared.tracing import Tracing
from tests.build import ANIMALS, add_tenants, make_job
from tests.serving import WAIT, ended, serving, working
from worker.batch import end_jobs

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-00"


class Traces:
    """Where spans end, and the tracing that sends them there."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    def of(self, trace_id: int) -> list[ReadableSpan]:
        return [span for span in self.all() if span.context and span.context.trace_id == trace_id]

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]


@pytest.fixture
def traces(database: Database) -> Iterator[Traces]:
    made = Traces()
    made.tracing.follow(database)
    yield made
    made.tracing.provider.shutdown()


def id_of(span: ReadableSpan) -> int:
    assert span.context
    return int(span.context.span_id)


def trace_of(span: ReadableSpan) -> int:
    assert span.context
    return int(span.context.trace_id)


def children(spans: list[ReadableSpan], parent: ReadableSpan) -> list[str]:
    return [span.name for span in spans if span.parent and span.parent.span_id == id_of(parent)]


async def add(client: httpx.AsyncClient, *candidates: str, **headers: str) -> dict[str, Any]:
    answer = await client.post("/add", json={"candidates": candidates}, headers=headers)
    answer.raise_for_status()
    job: dict[str, Any] = answer.json()
    return job


async def test_one_trace_with_one_id_from_submit_to_commit(
    database: Database, fake_queue: Queue, traces: Traces
) -> None:
    async with serving(database, fake_queue, tracing=traces.tracing) as client:
        job = await add(client, "Max", "Cody")
        async with working(database, fake_queue, tracing=traces.tracing):
            await ended(client, job)

    [request] = traces.named("POST /add")
    assert request.kind is SpanKind.SERVER
    assert request.parent is None
    spans = traces.of(trace_of(request))
    [send] = [span for span in spans if span.name == "send animals"]
    assert (send.kind, send.parent and send.parent.span_id) == (SpanKind.PRODUCER, id_of(request))
    [process] = [span for span in spans if span.name == "process animals"]
    assert (process.kind, process.parent and process.parent.span_id) == (SpanKind.CONSUMER, id_of(send))
    statements = children(spans, process)
    several = ["INSERT animals", "INSERT receipts", "COMMIT"]
    assert [name for name in statements if name.split()[0] in {"INSERT", "COMMIT"}] == (
        ["INSERT animals"] if database.at_once else several
    )
    assert {span.kind for span in spans if span.name in statements} == {SpanKind.CLIENT}
    assert process.attributes
    assert process.attributes["messaging.message.id"] == job["id"]
    assert process.attributes["dibs.outcome"] == "succeeded"


async def test_a_callers_trace_goes_on(database: Database, fake_queue: Queue, traces: Traces) -> None:
    async with (
        serving(database, fake_queue, tracing=traces.tracing) as client,
        working(database, fake_queue, tracing=traces.tracing),
    ):
        job = await add(client, "Max", traceparent=SAMPLED, **WAIT)
        assert job["status"] == "succeeded"
    names = {span.name for span in traces.of(int(TRACE, 16))}
    assert {"POST /add", "send animals", "process animals", "INSERT animals"} <= names


async def test_what_was_not_sampled_leaves_nothing(database: Database, fake_queue: Queue, traces: Traces) -> None:
    async with (
        serving(database, fake_queue, tracing=traces.tracing) as client,
        working(database, fake_queue, tracing=traces.tracing),
    ):
        await add(client, "Max", traceparent=NOT_SAMPLED, **WAIT)
    assert traces.all() == []


async def test_a_claim_of_many_links_to_its_jobs_and_each_trace_reaches_its_end(
    database: Database, fake_queue: Queue, traces: Traces
) -> None:
    async with serving(database, fake_queue, tracing=traces.tracing) as client:
        jobs = [await add(client, "Max"), await add(client, "Max")]
        async with working(database, fake_queue, tracing=traces.tracing):
            for job in jobs:
                await ended(client, job)

    requests = traces.named("POST /add")
    [process] = traces.named("process animals")
    assert process.parent is None
    assert {link.context.trace_id for link in process.links} == {trace_of(request) for request in requests}
    assert process.attributes
    assert process.attributes["messaging.batch.message_count"] == 2
    assert (process.attributes["dibs.jobs.succeeded"], process.attributes["dibs.jobs.exhausted"]) == (1, 1)
    assert "COMMIT" in children(traces.all(), process)
    for request, job, outcome in zip(requests, jobs, ["succeeded", "exhausted"], strict=True):
        [end] = [span for span in traces.of(trace_of(request)) if span.name == "end animals"]
        assert end.attributes
        assert (end.attributes["messaging.message.id"], end.attributes["dibs.outcome"]) == (job["id"], outcome)
        assert [link.context.span_id for link in end.links] == [id_of(process)]


async def test_a_bulk_is_one_trace(database: Database, fake_queue: Queue, traces: Traces) -> None:
    lines = b'{"candidates": ["Max"]}\n{"candidates": ["Cody"]}\n'
    async with (
        serving(database, fake_queue, tracing=traces.tracing) as client,
        working(database, fake_queue, tracing=traces.tracing),
    ):
        answer = await client.post(
            "/bulk/animals", content=lines, headers={"Content-Type": "application/x-ndjson", "traceparent": SAMPLED}
        )
        await ended(client, {"links": {"self": f"/jobs/{answer.json()['id'][:-8]}00000002"}})
    [send], [process] = traces.named("send animals"), traces.named("process animals")
    assert (trace_of(send), trace_of(process)) == (int(TRACE, 16), int(TRACE, 16))
    assert process.attributes
    assert process.attributes["dibs.jobs.succeeded"] == 2
    assert traces.named("end animals") == []


async def test_nothing_that_a_caller_sent_stands_in_a_span(
    database: Database, fake_queue: Queue, traces: Traces
) -> None:
    await add_tenants(database, "acme")
    values = {"tenant": "acme", "owner": "Ada Sesame", "plan": "sesame"}  # the check refuses this plan
    async with (
        serving(database, fake_queue, tracing=traces.tracing) as client,
        working(database, fake_queue, tracing=traces.tracing),
    ):
        answer = await client.post(
            "/add/handles",
            json={"candidates": [{"handle": "sesame-1"}], "values": values},
            headers={"Idempotency-Key": "sesame-2", **WAIT},
        )
        assert answer.json()["status"] == "failed"
        await add(client, "sesame-3", **WAIT)
    [refused] = [s for s in traces.all() if s.name.startswith("INSERT handles")]
    assert refused.status.status_code is StatusCode.ERROR
    assert (refused.attributes or {})["error.type"] in {"23514", "SQLITE_CONSTRAINT_CHECK"}
    everything = "".join(span.to_json() for span in traces.all())
    assert "INSERT INTO animals" in everything
    assert "sesame" not in everything.lower()


@pytest.mark.postgresql
async def test_a_statement_that_goes_to_the_driver_tells_its_error_too(postgresql_database: Database) -> None:
    traces = Traces()
    traces.tracing.follow(postgresql_database)
    job = make_job(ANIMALS, ["Max"])
    async with postgresql_database.writes.begin() as session:
        await write_receipts(session, [Receipt.cancelled(job, "animals", tries=0)])

    with traces.tracing.tracer.start_as_current_span("claim"):
        at_once = postgresql_database.at_once
        await end_jobs(postgresql_database.writes, ANIMALS, [job], tries=1, fresh=True, at_once=at_once)

    [refused] = traces.named("INSERT animals")
    assert (refused.kind, refused.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert (refused.attributes or {})["error.type"] == "23505"
    assert [span.name for span in traces.all()][-1] == "claim"


async def test_without_tracing_a_job_has_no_field_for_it(fake_queue: Queue, sqlite_database: Database) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        await add(client, "Max", traceparent=SAMPLED)
    [payload] = [await fake_queue.redis.get(key) async for key in fake_queue.redis.scan_iter("arq:job:*")]
    assert b'"candidates":[{"name":"Max"}]' in payload
    assert b"trace" not in payload


async def test_what_is_looked_up_together_is_in_nobodys_trace(
    database: Database, fake_queue: Queue, traces: Traces
) -> None:
    async with serving(database, fake_queue, tracing=traces.tracing) as client:
        job = await add(client, "Max", traceparent=NOT_SAMPLED)
        answers = await asyncio.gather(
            *(client.get(job["links"]["self"], headers={"traceparent": SAMPLED}) for _ in range(3))
        )
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [span.name for span in traces.all()] == ["GET /jobs/{job_id}"] * 3


@pytest.mark.sqlite
async def test_health_and_metrics_make_no_traces(fake_queue: Queue, sqlite_database: Database) -> None:
    traces = Traces()
    traces.tracing.follow(sqlite_database)
    async with serving(sqlite_database, fake_queue, tracing=traces.tracing) as client:
        for path in ("/metrics", "/health/ready", "/health/live"):
            assert (await client.get(path)).status_code in {200, 503}
    assert traces.all() == []
