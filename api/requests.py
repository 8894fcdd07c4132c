"""What a request says beside its path: its body, its preferences, its idempotency key."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import Path, Request
from starlette.requests import ClientDisconnect

from api.problems import ProblemError, refuse
from shared.contract import MAX_KEY_LENGTH
from shared.problems import Kind

Id = Annotated[str, Path(json_schema_extra={"format": "uuid"})]
"""An id in a path; what is none is as unknown as one that never was."""

KEY_HEADER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_KEY_LENGTH,
        "pattern": r'^(?!""$)[!-~]([ -~]*[!-~])?$',
    },
}

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")

_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;|$)', re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_PRINTABLE = re.compile(r"[\x20-\x7e]+")


WHOLE = "dibs.whole"
"""In the scope, where dibs's own server has the whole request before it asks for the answer."""


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes:
    """The body, at most `limit` bytes of it within `timeout_s`."""
    is_whole = WHOLE in request.scope
    if not is_whole:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise _too_large(limit)
    body: bytes = b""
    try:
        async with nullcontext() if is_whole else asyncio.timeout(timeout_s):
            while True:
                # As request.stream() does, without its generator: nearly every body comes in one message.
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        raise refuse(Kind.TOO_SLOW, f"the body did not come within {timeout_s:g} s; nothing was taken in") from None
    return body


async def read_json(request: Request, limit: int, timeout_s: float) -> bytes:
    """The body as `read_body` reads it, which must be JSON by its media type unless it is empty."""
    body = await read_body(request, limit, timeout_s)
    if body and not _is_json(request.headers.get("content-type", "")):
        raise refuse(Kind.MEDIA, "send the add with Content-Type: application/json")
    return body


async def read_steadily(request: Request, timeout_s: float) -> AsyncIterator[bytes]:
    """The parts of a body of any length, each at most `timeout_s` after it was asked for."""
    parts = request.stream()
    while True:
        try:
            async with asyncio.timeout(timeout_s):
                part = await anext(parts, None)
        except TimeoutError:
            raise refuse(
                Kind.TOO_SLOW, f"nothing came for {timeout_s:g} s; under a key it is safe to send the bulk again"
            ) from None
        if part is None:
            return
        yield part


def _too_large(limit: int) -> ProblemError:
    return refuse(Kind.TOO_LARGE, f"a body may have {limit} bytes")


def require_ndjson(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in NDJSON:
        raise refuse(Kind.MEDIA, f"send the lines with Content-Type: {NDJSON[0]}")


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def wanted_wait_s(request: Request, longest_s: float) -> float | None:
    """Seconds of `Prefer: wait=N` (RFC 7240), cut to what the server allows; None where nothing is preferred."""
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            if found := _WAIT.match(preference.strip()):
                return min(float(found[1]), longest_s)
    return None


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key`, bare or as a quoted string."""
    values = request.headers.getlist("idempotency-key")
    if not values:
        return None
    text = values[0].strip()
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    if len(values) > 1 or len(text) > MAX_KEY_LENGTH or not _PRINTABLE.fullmatch(text):
        raise refuse(Kind.MALFORMED, f"Idempotency-Key must be one value of 1 to {MAX_KEY_LENGTH} printable characters")
    return text
