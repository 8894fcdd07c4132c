"""POST /add and POST /add/{collection}."""

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from api.callers import caller_of
from api.door import Door
from api.jobs import show
from api.problems import ProblemError, refuse, responses
from api.requests import idempotency_key, read_json, wanted_wait_s
from shared.collections import Add, Collection, InvalidAdd, MalformedAdd
from shared.contract import DEFAULT_CANDIDATES, DEFAULT_COLLECTION, MAX_KEY_LENGTH, JobView
from shared.problems import Kind

DEFAULT_BODY = orjson.dumps({"candidates": DEFAULT_CANDIDATES})

PROBLEMS = responses(
    Kind.MALFORMED, Kind.TOO_LARGE, Kind.MEDIA, Kind.INVALID, Kind.KEY_REUSED, Kind.QUEUE_FULL, Kind.QUEUE_AWAY
)

HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same add is the same job; bare or quoted.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[ -~]+$"},
        "example": "order-4711",
    },
    {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=N` holds the answer up to N seconds for the job to end (RFC 7240).",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
]


class ThinRoute(APIRoute):
    """A route whose endpoint takes the request and makes the response by itself.

    FastAPI documents it, and does none of its work for each call: on the hot path that was a fifth of the time.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def install(app: FastAPI, door: Door) -> None:
    """A route for each collection, so that OpenAPI shows what each of them takes."""
    _route(app, "/add", door, door.collections[DEFAULT_COLLECTION])
    for collection in door.collections.values():
        _route(app, f"/add/{collection.name}", door, collection)

    @app.post("/add/{collection}", include_in_schema=False)
    async def unknown(collection: str) -> Response:
        door.collection(collection)
        raise AssertionError("a known collection has a route of its own")


def _route(app: FastAPI, path: str, door: Door, collection: Collection) -> None:
    is_default = collection.name == DEFAULT_COLLECTION
    said = "With no body: Max, Cody, Robby. " if is_default else ""
    app.router.add_api_route(
        path,
        _adder(door, collection),
        methods=["POST"],
        route_class_override=ThinRoute,
        tags=["add"],
        status_code=202,
        name=f"add_to_{collection.name}" if path != "/add" else "add",
        summary=f"Insert the first free candidate into {collection.name}",
        description=f"{said}Candidates in order of preference; `values` are columns that all of them share. "
        "Answers 202 once the job is in the queue, or 200 with the finished job where `Prefer: wait` allowed it.",
        response_model=JobView,
        responses={200: {"model": JobView, "description": "The job has ended"}, **PROBLEMS},
        openapi_extra={
            "parameters": HEADERS,
            "requestBody": {"required": not is_default, "content": {"application/json": _content(collection)}},
        },
    )


def _content(collection: Collection) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{collection.name}_add"}}
    if collection.name == DEFAULT_COLLECTION:
        content["example"] = {"candidates": list(DEFAULT_CANDIDATES)}
    return content


def _adder(door: Door, collection: Collection) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    default = DEFAULT_BODY if collection.name == DEFAULT_COLLECTION else b"{}"

    async def add(request: Request) -> Response:
        try:
            wish = _parsed(collection, await read_json(request, door.settings.max_body_bytes) or default)
            key = idempotency_key(request)
            wait_s = wanted_wait_s(request, door.settings.max_wait_s)
            caller = caller_of(request)
            view = await door.submit(caller, collection, wish, key)
        except ProblemError as refusal:
            door.metrics.refused(collection.name, refusal.problem.kind)
            raise
        if wait_s and not view.status.is_outcome:
            # The job is taken in: should anything go wrong with the wait, that is still the answer.
            with contextlib.suppress(ProblemError):
                view = await door.outcome(caller, str(view.id), wait_s)
        answer = show(view, wait_s, pending=202)
        answer.headers["Location"] = view.links.self
        return answer

    return add


def _parsed(collection: Collection, body: bytes) -> Add:
    try:
        return collection.parse_add(body)
    except MalformedAdd as error:
        raise refuse(Kind.MALFORMED, str(error)) from None
    except InvalidAdd as error:
        raise refuse(Kind.INVALID, error.faults[0].detail, errors=error.faults) from None
