"""OpenTelemetry traces: one trace follows an add from its request through Redis to the COMMIT.

Off unless the standard variables ask for it (`shared/exporting.py`). There is no global provider: a `Tracing` is made
at an entrypoint and passed down, and where none was made nothing is spent on it.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.contract import Job
from shared.database import Database
from shared.sql_spans import trace_at_once, trace_sql

if TYPE_CHECKING:  # the SDK is loaded only where there are traces
    from opentelemetry.sdk.trace import TracerProvider

CLOSE_S = 3.0
"""How long a stop may wait for a collector of traces that is away."""

_W3C = TraceContextTextMapPropagator()


class Tracing:
    """A provider of tracers, and how the context of a span crosses Redis: as the `traceparent` of a job.

    What stands in a span are ids, collections, counts, outcomes, codes and SQL without its parameters: nothing of
    what a caller sent. Names are OpenTelemetry's own where it has them (semantic conventions for HTTP, messaging and
    databases).
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("dibs")

    def follow(self, database: Database) -> None:
        """From now on the statements and commits of `database` are spans of whatever they are done for."""
        for engine in {database.reader.sync_engine, database.writer.sync_engine}:
            trace_sql(engine, self.tracer)
        if database.at_once is not None:
            trace_at_once(database.at_once, self.tracer)

    @contextmanager
    def sending(self, collection: str, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """A span around the enqueue of `jobs`, which are given with its context on them."""
        with self.tracer.start_as_current_span(
            f"send {collection}",
            kind=SpanKind.PRODUCER,
            attributes=message_attributes("send", collection, jobs),
            # The text of an error may repeat what a caller sent.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            carrier: dict[str, str] = {}
            _W3C.inject(carrier)
            try:
                yield [replace(job, traceparent=carrier.get("traceparent")) for job in jobs]
            except Exception as error:
                tell_error(span, type(error).__name__)
                raise

    async def close(self) -> None:
        """Export what is left, as far as that is done within `CLOSE_S`: the SDK itself would wait for half a minute."""
        export = threading.Thread(target=self.provider.shutdown, name="last spans", daemon=True)
        export.start()
        await asyncio.to_thread(export.join, CLOSE_S)


def context_of(traceparent: str) -> Context:
    """The context that `traceparent` carries, and nothing of the current one."""
    return _W3C.extract({"traceparent": traceparent}, context=Context())


def message_attributes(operation: str, collection: str, jobs: Sequence[Job]) -> dict[str, str | int]:
    told: dict[str, str | int] = {
        "messaging.system": "dibs",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": collection,
    }
    if len(jobs) == 1:
        return told | {"messaging.message.id": str(jobs[0].id)}
    return told | {"messaging.batch.message_count": len(jobs)}


def tell_error(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
