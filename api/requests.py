"""What a request says beside its path: its body, its preferences, its idempotency key."""

import re

from fastapi import Request

from api.problems import refuse
from shared.contract import MAX_KEY_LENGTH
from shared.problems import Kind

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")

_WAIT = re.compile(r'\bwait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_PRINTABLE = re.compile(r"[\x20-\x7e]+")


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes of it."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise refuse(Kind.TOO_LARGE, f"a body may have {limit} bytes")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise refuse(Kind.TOO_LARGE, f"a body may have {limit} bytes")
    return bytes(body)


async def read_json(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes of it, which must be JSON by its media type unless it is empty."""
    body = await read_body(request, limit)
    if body and not _is_json(request.headers.get("content-type", "")):
        raise refuse(Kind.MEDIA, "send the add with Content-Type: application/json")
    return body


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
