"""Logging, set up once at the entrypoint: to stderr, in UTC, without secrets.

The code logs by the standard library; structlog renders it: as text for people on a terminal, else as JSON, one
object a line. Either has the fields that are bound where the line was logged: `request_id` in the api, `batch`,
`job_id` and `collection` in the worker, `trace_id` and `span_id` where there is a trace.
"""

import logging
import os
import sys
from typing import Literal
from urllib.parse import urlsplit

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from sqlalchemy import make_url
from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import EventDict, Processor

from shared.redis import SENTINEL_SCHEME, read_sentinel_url

# These tell each of their steps at INFO: a line for each job, several for each start.
TALKATIVE = ("arq", "uvicorn", "alembic", "httpx")

NOT_FIELDS = ("_record", "_from_structlog", "color_message")
"""What structlog and uvicorn put beside a message for themselves."""


def set_up(level: str, form: Literal["auto", "text", "json"] = "auto") -> None:
    """Let the root logger write from `level` on; talkative libraries only warn, unless `level` is DEBUG."""
    is_terminal = sys.stderr.isatty()
    handler = logging.StreamHandler()
    handler.setFormatter(formatter("text" if form == "text" or (form == "auto" and is_terminal) else "json"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    # The driver of SQLite tells each call to its thread.
    logging.getLogger("aiosqlite").setLevel(logging.INFO)


def formatter(form: Literal["text", "json"]) -> logging.Formatter:
    """Renders every record alike, whichever library it comes from."""
    told: list[Processor] = [
        merge_contextvars,
        ExtraAdder(),
        _trace,
        add_log_level,
        add_logger_name,
        TimeStamper(fmt="iso", utc=True),
        format_exc_info,
    ]
    if form == "json":
        rendered: list[Processor] = [_in_order, JSONRenderer()]
    else:
        is_coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        rendered = [_harmless, ConsoleRenderer(colors=is_coloured, exception_formatter=plain_traceback)]
    return ProcessorFormatter(foreign_pre_chain=told, processors=[_tidy, *rendered])


def _trace(_logger: object, _method: str, event: EventDict) -> EventDict:
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = format_trace_id(context.trace_id), format_span_id(context.span_id)
    return event


def _tidy(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name not in NOT_FIELDS and value is not None}


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """What every line has comes first; what is logged is called a message by whoever reads JSON."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "logger")}
    return {**first, "message": event.pop("event"), **event}


def _harmless(_logger: object, _method: str, event: EventDict) -> EventDict:
    """One record is one line but for its traceback, and nothing in it talks to the terminal."""
    return {name: _printable(value, keep="\n" if name == "exception" else "") for name, value in event.items()}


def _printable(value: object, keep: str) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in value)


def name_of(url: str) -> str:
    """`url` as a log may show it: no user, no password, no options, for any of these may be a secret."""
    if url.startswith(("redis://", "rediss://", "unix://")):
        parts = urlsplit(url)
        return f"{parts.scheme}://{_host(parts.hostname, parts.port)}{parts.path}"
    if url.startswith(SENTINEL_SCHEME):
        where = read_sentinel_url(url)
        return f"{SENTINEL_SCHEME}{','.join(_host(*host) for host in where.hosts)}/{where.master}"
    address = make_url(url)
    return f"{address.get_backend_name()}://{_host(address.host, address.port)}/{address.database or ''}"


def _host(host: str | None, port: int | None) -> str:
    return f"{host or ''}:{port}" if port else host or ""
