"""What is asked of the server: each request as a value, checked before it is sent."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from dibs.client.errors import Unsendable
from dibs.client.steps import ANSWER_S, Ask
from shared.contract import DEFAULT_COLLECTION, MAX_KEY_LENGTH, Row

Candidate = str | int | bool | Mapping[str, Any]

WAIT_AT_ONCE_S = 25
"""Shorter than the patience of most proxies."""

BULK_ANSWER_S = 60.0
"""A bulk may wait for room in the queue."""

NDJSON = "application/x-ndjson"


@dataclass(frozen=True, init=False)
class Add:
    """One add of many: the candidates in order of preference, and the `values` that they share."""

    candidates: tuple[Candidate, ...]
    values: Row

    def __init__(self, *candidates: Candidate, values: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "candidates", candidates)
        object.__setattr__(self, "values", dict(values or {}))


Wish = Add | Candidate | Sequence[Candidate]
"""What can be added as one of many: an `Add`, a candidate alone, or candidates in order of preference."""


def to_add(
    candidates: Sequence[Candidate], values: Mapping[str, Any] | None, collection: str | None, key: str, wait_s: float
) -> Ask:
    """POST /add; without candidates it has no body, which leaves them to the server. Raises `Unsendable`."""
    wait = _whole(wait_s)
    headers = _keyed(key) | _prefer(wait)
    path = "/add" if collection is None else f"/add/{_part(collection)}"
    if not candidates:
        if values or collection not in {None, DEFAULT_COLLECTION}:
            raise Unsendable(f"without candidates only {DEFAULT_COLLECTION} can be added to, and without values")
        return Ask("POST", path, headers=headers, wait_s=wait)
    body = as_json(_content(candidates, values))
    return Ask("POST", path, headers=headers | {"Content-Type": "application/json"}, content=body, wait_s=wait)


def for_job(job: UUID | str, *, left_s: float = 0) -> Ask:
    """GET /jobs/{id}; the answer may come when the job has ended, or `left_s` are over."""
    wait = _whole(left_s)
    answer_s = min(ANSWER_S, left_s or ANSWER_S)
    return Ask("GET", f"/jobs/{_part(str(job))}", headers=_prefer(wait), wait_s=wait, answer_s=answer_s)


def to_cancel(job: UUID | str) -> Ask:
    """DELETE /jobs/{id}."""
    return Ask("DELETE", f"/jobs/{_part(str(job))}")


def to_retry(job: UUID | str) -> Ask:
    """POST /jobs/{id}/retry. However often it is asked, the job is sent again once."""
    return Ask("POST", f"/jobs/{_part(str(job))}/retry")


@dataclass(frozen=True)
class Wanted:
    """Which jobs are wanted; None where it does not matter."""

    status: Sequence[str]
    collection: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def query(self, cursor: str | None, limit: int) -> dict[str, str | list[str]]:
        """As parameters of an address; raises `Unsendable`."""
        times = {"since": self.since, "until": self.until}
        if any(time is not None and time.tzinfo is None for time in times.values()):
            raise Unsendable("since and until are times with a time zone")
        given = {name: time.isoformat() if time else None for name, time in times.items()}
        given |= {"collection": self.collection, "cursor": cursor, "limit": str(limit)}
        found: dict[str, str | list[str]] = {name: value for name, value in given.items() if value is not None}
        return found | {"status": [str(status) for status in self.status]}


def for_jobs(wanted: Wanted, cursor: str | None, limit: int) -> Ask:
    """GET /jobs: a page of them."""
    return Ask("GET", "/jobs", query=wanted.query(cursor, limit))


def to_retry_page(wanted: Wanted, cursor: str | None, limit: int) -> Ask:
    """POST /jobs/retry: each job of such a page is sent again, once however often it is asked."""
    return Ask("POST", "/jobs/retry", query=wanted.query(cursor, limit))


def to_send_lines(collection: str | None, key: str, lines: Sequence[bytes], *, after: int, more: bool) -> Ask:
    """POST /bulk/{collection}: the lines that follow on line `after` of the bulk, with `more` to come or not."""
    query: dict[str, str | list[str]] = {"after": str(after), "more": "true" if more else "false"}
    headers = _keyed(key) | {"Content-Type": NDJSON}
    content = b"".join(line + b"\n" for line in lines)
    path = f"/bulk/{_part(collection or DEFAULT_COLLECTION)}"
    return Ask("POST", path, query=query, headers=headers, content=content, answer_s=BULK_ANSWER_S)


def for_bulk(bulk: UUID) -> Ask:
    """GET /bulk/{id}."""
    return Ask("GET", f"/bulk/{bulk}")


def for_results(bulk: UUID, *, after: int, limit: int) -> Ask:
    """GET /bulk/{id}/results: those of the `limit` lines that follow on line `after`."""
    return Ask("GET", f"/bulk/{bulk}/results", query={"after": str(after), "limit": str(limit)})


def as_line(wish: Wish, number: int) -> bytes:
    """`wish` as line `number` of a bulk; raises `Unsendable`."""
    match wish:
        case Add():
            content = _content(wish.candidates, wish.values)
        case str() | int() | Mapping():
            content = _content([wish], None)
        case [*candidates]:
            content = _content(candidates, None)
        case _:
            raise Unsendable(f"no. {number}: {type(wish).__name__} is no add")
    try:
        return as_json(content)
    except Unsendable as error:
        raise Unsendable(f"no. {number}: {error}") from None


def as_json(content: Any) -> bytes:
    """Raises `Unsendable`."""
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Unsendable(f"the add has no form in JSON: {error}") from None


def _content(candidates: Sequence[Candidate], values: Mapping[str, Any] | None) -> Row:
    return {"candidates": list(candidates)} | ({"values": dict(values)} if values else {})


def _keyed(key: str) -> dict[str, str]:
    if len(key) > MAX_KEY_LENGTH or not (key and key.isascii() and key.isprintable()):
        raise Unsendable(f"an idempotency key has 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    return {"Idempotency-Key": '"{}"'.format(key.replace("\\", r"\\").replace('"', r"\""))}


def _prefer(wait_s: int) -> dict[str, str]:
    return {"Prefer": f"wait={wait_s}"} if wait_s else {}


def _whole(wait_s: float) -> int:
    """RFC 7240 waits in whole seconds; what is left of one is for looking again."""
    return math.floor(min(WAIT_AT_ONCE_S, max(0.0, wait_s)))


def _part(text: str) -> str:
    """`text` as one part of a path; raises `Unsendable`."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise Unsendable(f"{text!r} cannot stand in an address: {error.reason}") from None
