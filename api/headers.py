"""What OpenAPI says of the headers that requests and answers have."""

from typing import Any

PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N` holds the answer up to N seconds for the end (RFC 7240).",
    "schema": {"type": "string"},
    "example": "wait=10",
}

_OF_ANSWERS: dict[str, tuple[str, str]] = {
    "Location": ("string", "Where the job is"),
    "Retry-After": ("integer", "Seconds to wait before asking again; while the job has not ended"),
    "Preference-Applied": ("string", "How long the answer was held at most, where `Prefer: wait` was asked for"),
    "Link": ("string", 'Where the next page is, as `rel="next"`; not on the last page'),
    "Cache-Control": ("string", "Not to be kept: the next answer may be another"),
}


def headers(*names: str) -> dict[str, dict[str, Any]]:
    """The headers that an answer may have."""
    return {name: {"schema": {"type": _OF_ANSWERS[name][0]}, "description": _OF_ANSWERS[name][1]} for name in names}
