"""What FastAPI cannot know of the whole: what is answered before any route, and which answer leads to which call."""

from typing import Any

from api.problems import responses
from shared.problems import Kind

BEFORE_ANY_ROUTE = responses(Kind.MALFORMED, Kind.TOO_SLOW, Kind.URL_TOO_LONG, Kind.HEADERS_TOO_LARGE)
"""Of a server that dibs starts: what is wrong with a request itself."""

LEADS_TO = {
    "/add": ("job_id", (("/jobs/{job_id}", "get"), ("/jobs/{job_id}", "delete"))),
    "/bulk": ("bulk_id", (("/bulk/{bulk_id}", "get"), ("/bulk/{bulk_id}/results", "get"))),
}
"""The id in the answer of a POST below such an address is a parameter of these."""


def complete(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            for status, told in BEFORE_ANY_ROUTE.items():
                _merge(operation["responses"].setdefault(str(status), {}), told)
        if "post" in operations and (start := _start_of(path)) in LEADS_TO:
            parameter, targets = LEADS_TO[start]
            links = {
                f"{method} {target}": {
                    "operationId": schema["paths"][target][method]["operationId"],
                    "parameters": {parameter: "$response.body#/id"},
                }
                for target, method in targets
            }
            for status in {"200", "202"} & operations["post"]["responses"].keys():
                operations["post"]["responses"][status]["links"] = links


def _start_of(path: str) -> str:
    return "/" + path.split("/")[1]


def _merge(there: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the examples of `more` to a response that is there already."""
    there.setdefault("description", more["description"])
    for media, content in more["content"].items():
        known = there.setdefault("content", {}).setdefault(media, {"schema": content["schema"], "examples": {}})
        known.setdefault("examples", {}).update(content["examples"])
