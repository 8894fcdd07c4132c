"""How a record is rendered: as JSON with its fields, or as a line for a terminal."""

import json
import logging
import re
import sys
from typing import Literal

import pytest
from opentelemetry.sdk.trace import TracerProvider
from structlog.contextvars import bound_contextvars

from dibs.logs import formatter

RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("dibs.test").makeRecord(
        "dibs.test", logging.WARNING, __file__, 1, message, arguments, None, extra=extra
    )
    assert isinstance(made, logging.LogRecord)
    return made


def rendered(form: Literal["text", "json"], one: logging.LogRecord) -> str:
    return formatter(form).format(one)


def test_json_is_one_object_with_its_fields() -> None:
    with bound_contextvars(request_id="r-1", collection="animals"):
        line = rendered("json", record("job %s is late", 7, job_id="j-7", color_message="noise"))
    assert "\n" not in line
    told = json.loads(line)
    assert list(told)[:4] == ["timestamp", "level", "logger", "message"]
    assert re.fullmatch(RFC_3339, told.pop("timestamp"))
    assert told == {
        "level": "warning",
        "logger": "dibs.test",
        "message": "job 7 is late",
        "request_id": "r-1",
        "collection": "animals",
        "job_id": "j-7",
    }


def break_down() -> None:
    raise RuntimeError("broken \u2028 \ud800")


def test_a_traceback_is_a_field() -> None:
    try:
        break_down()
    except RuntimeError:
        failed = record("it failed")
        failed.exc_info = sys.exc_info()
    line = rendered("json", failed)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["exception"].startswith("Traceback (most recent call last):\n")
    text = rendered("text", failed)
    assert "Traceback (most recent call last):\n" in text
    assert "RuntimeError: broken \\u2028 \\ud800" in text


def test_what_is_logged_within_a_span_names_its_trace() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("test") as span:
        told = json.loads(rendered("json", record("hello")))
    assert told["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert told["span_id"] == f"{span.get_span_context().span_id:016x}"
    assert "trace_id" not in json.loads(rendered("json", record("hello")))


def test_text_is_for_people() -> None:
    with bound_contextvars(request_id="r-1"):
        line = rendered("text", record("hello", job_id="j-7"))
    assert len(line.splitlines()) == 1
    for part in ("Z [warning", "hello", "[dibs.test]", "job_id=j-7", "request_id=r-1"):
        assert part in line
    assert "\x1b" not in line, "nobody reads colours in a file"


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_forges_a_line(form: Literal["text", "json"]) -> None:
    line = rendered(form, record("%s", "GET /\n2026 [error] \x1b[2Jgone", route="/a\nb\x07"))
    assert len(line.splitlines()) == 1
    assert "\x1b[2J" not in line
    assert "\x07" not in line
