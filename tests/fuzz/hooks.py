"""What schemathesis cannot know: two formats of dibs, and keys that are somebody else's."""

import base64
import json
import os
import re
from typing import Any
from uuid import uuid4

import orjson
import schemathesis
from hypothesis import strategies as st

from api.bulk_door import MAX_LINES
from api.requests import KEY_HEADER, NDJSON
from shared.contract import MAX_KEY_LENGTH
from tests.build import COLLECTIONS

KEY = str(KEY_HEADER["name"])
LARGEST_INTEGER = 2.0**63

_names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


def _cursor(*columns: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(columns)).decode().rstrip("=")


schemathesis.openapi.format("cursor", _names.map(_cursor))


@schemathesis.serializer(NDJSON[0])
def ndjson(_context: Any, value: Any) -> bytes:
    """Any JSON as lines: what is in a list as a line each, a text as it is, or in a list as an add."""
    if isinstance(value, list):
        return b"\n".join(_json({"candidates": [item]} if isinstance(item, str) else item) for item in value)
    return value.encode(errors="surrogatepass") if isinstance(value, str) else _json(value)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """To JSON Schema 1e170 is an integer like any other; to JSON columns it is a float, and only those may be large."""
    if isinstance(body, dict):
        return all(filter_body(_context, value) for value in body.values())
    if isinstance(body, list):
        return all(filter_body(_context, value) for value in body)
    return not (isinstance(body, float) and abs(body) >= LARGEST_INTEGER)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Make what fits the schema fit what a schema cannot say; what does not fit it is left as it is."""
    headers, query = case.headers, case.query
    key = (headers or {}).get(KEY)
    if isinstance(key, str) and len(key) <= MAX_KEY_LENGTH and re.fullmatch(KEY_HEADER["schema"]["pattern"], key):
        # One that was used for another add is rightly refused.
        headers[KEY] = f"{uuid4().hex}{key[32:]}"
    if not query:
        return
    if case.operation.path == "/bulk/{collection}":
        _of_a_first_part(case)
    elif case.operation.path in {"/jobs", "/jobs/retry"}:
        _of_one_list(query, LISTED if case.operation.path == "/jobs" else RETRYABLE)
    if "cursor" in query and case.meta is not None and case.meta.generation.mode.is_positive:
        _of_this_list(case)


def _of_this_list(case: Any) -> None:
    """A cursor is of one list: of a collection it has as many columns as the key, of jobs a time and an id."""
    collection = COLLECTIONS.get(str((case.path_parameters or {}).get("collection")))
    place = ["ended", "2026-01-01T00:00:00Z", str(uuid4())] if collection is None else ["x"] * len(collection.key)
    if len(_read(case.query["cursor"])) != len(place):
        case.query["cursor"] = _cursor(*place)


def _of_a_first_part(case: Any) -> None:
    """A part of a bulk needs a key, and must follow on what was taken in; under a key of its own that is nothing."""
    if str(case.query.get("after", "0")).isdecimal() and int(case.query.get("after", 0)) <= MAX_LINES:
        if "after" in case.query:
            case.query["after"] = 0
        if str(case.query.get("more", "")).lower() in {"true", "1"} and KEY not in (case.headers or {}):
            case.headers = {**(case.headers or {}), KEY: uuid4().hex}


LISTED = {"succeeded", "exhausted", "failed", "cancelled"}
RETRYABLE = LISTED - {"succeeded"}
WAITING = {"queued", "running", "retrying"}


def _of_one_list(query: dict[str, Any], ended: set[str]) -> None:
    """Jobs that wait and jobs that ended are two lists, with cursors of their own; only the ended have a time."""
    asked = query.get("status")
    statuses = asked if isinstance(asked, list) else [] if asked is None else [asked]
    if all(str(status) in LISTED | WAITING for status in statuses) and not all(s in ended for s in statuses):
        query["status"] = [status for status in statuses if status in ended] or [*ended][:1]


def _read(cursor: object) -> list[Any]:
    try:
        place = orjson.loads(base64.urlsafe_b64decode(f"{cursor}{'=' * (-len(str(cursor)) % 4)}"))
    except (ValueError, TypeError):
        return []
    return place if isinstance(place, list) else []


if expected := os.environ.get("FUZZ_EXPECTED_STATUSES"):
    allowed = {int(status) for status in expected.split(",")}

    @schemathesis.check
    def only_expected_statuses(_context: Any, response: Any, case: Any) -> None:
        """Of a server that is to refuse everything that needs a key, such as one with keys on that is sent none."""
        assert response.status_code in allowed or case.operation.path.startswith(("/health/", "/problems")), (
            f"{response.status_code} is none of {expected}"
        )
