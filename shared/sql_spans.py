"""A span for each statement and each commit, as a child of whatever it is done for.

By SQLAlchemy's own events, for each engine by itself, and beside them for what goes around it. OpenTelemetry's
instrumentation of SQLAlchemy knows no commits, writes the driver's error text, which may repeat a row, into the span,
and keeps a list of engines for the process.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from shared.at_once import AtOnce
from shared.faults import sort_fault

LONGEST_TEXT = 1000
"""Characters of a statement that a span shows; on SQLite one of a large claim has thousands of placeholders."""

_SUMMARY = re.compile(r"\s*(?:WITH\b.*?\b(?=INSERT\b))?(\w+)(?:.*?\b(?:INTO|FROM)\s+(\w+))?", re.DOTALL)
"""What is done, and to which table; of a statement with subqueries in front, the insert among them."""


def trace_sql(engine: Engine, tracer: Tracer) -> None:
    """Only where a span is current and recorded: what nobody asked for, and what was not sampled, makes no trace."""
    system = {"db.system.name": engine.dialect.name}

    @event.listens_for(engine, "before_cursor_execute")
    def _begin(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:  # noqa: FBT001  # SQLAlchemy's signature
        if get_current_span().is_recording():
            told = _told(system, statement)
            context.dibs_span = tracer.start_span(summary_of(statement), kind=SpanKind.CLIENT, attributes=told)

    @event.listens_for(engine, "after_cursor_execute")
    def _end(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:  # noqa: FBT001  # as above
        if (span := getattr(context, "dibs_span", None)) is not None:
            span.end()

    @event.listens_for(engine, "handle_error")
    def _fail(error: ExceptionContext) -> None:
        span = getattr(error.execution_context, "dibs_span", None)
        if span is not None:
            _end_with(span, error.original_exception)

    commit = engine.dialect.do_commit

    def traced_commit(connection: Any) -> None:
        with _spanned(tracer, "COMMIT", system):
            commit(connection)

    # There is no event after a commit.
    engine.dialect.do_commit = traced_commit  # type: ignore[method-assign, assignment]  # an engine has a dialect of its own


def trace_at_once(at_once: AtOnce, tracer: Tracer) -> None:
    """As `trace_sql`, for what goes around SQLAlchemy."""
    system = {"db.system.name": "postgresql"}
    at_once.around = lambda text: _spanned(tracer, summary_of(text), _told(system, text))


@contextmanager
def _spanned(tracer: Tracer, name: str, told: dict[str, str]) -> Iterator[None]:
    if not get_current_span().is_recording():
        yield
        return
    span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=told)
    try:
        yield
    except BaseException as error:
        _end_with(span, error)
        raise
    span.end()


def _told(system: dict[str, str], statement: str) -> dict[str, str]:
    return {**system, "db.query.text": statement[:LONGEST_TEXT]}


def summary_of(statement: str) -> str:
    """What a statement does to which table, as its span is called."""
    found = _SUMMARY.match(statement[:LONGEST_TEXT])
    return " ".join(part for part in found.groups() if part) if found else "SQL"


def _end_with(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", sort_fault(error).code)
    span.set_status(StatusCode.ERROR)
    span.end()
