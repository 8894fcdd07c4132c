"""POST /add and POST /add/{collection}."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from api.callers import Scope, caller_of, needs
from api.door import Door
from api.headers import PREFER
from api.jobs import TAKEN_IN, show_accepted, show_taken_in
from api.problems import ProblemError, refuse, responses
from api.requests import KEY_HEADER, idempotency_key, read_json, wanted_wait_s
from api.roots import root_of
from api.thin_route import ThinRoute
from shared.collections import Add, Collection, InvalidAdd, MalformedAdd
from shared.contract import DEFAULT_CANDIDATES, DEFAULT_COLLECTION, Job, JobView
from shared.problems import Kind

DEFAULT_BODY = orjson.dumps({"candidates": DEFAULT_CANDIDATES})

PROBLEMS = responses(
    Kind.MALFORMED,
    Kind.TOO_LARGE,
    Kind.MEDIA,
    Kind.INVALID,
    Kind.KEY_REUSED,
    Kind.QUEUE_FULL,
    Kind.QUEUE_AWAY,
    Kind.BUSY,
)

HEADERS = [
    {
        **KEY_HEADER,
        "description": "The same key with the same add is the same job; bare or quoted.",
        "example": "order-4711",
    },
    PREFER,
]


def install(app: FastAPI, door: Door) -> None:
    """A route for each collection, so that OpenAPI shows what each of them takes."""
    _route(app, "/add", door, door.collections[DEFAULT_COLLECTION])
    for collection in door.collections.values():
        _route(app, f"/add/{collection.name}", door, collection)

    @app.post("/add/{collection}", include_in_schema=False)
    @needs(Scope.ADD)
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
        responses={**TAKEN_IN, **PROBLEMS},
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

    @needs(Scope.ADD)
    async def add(request: Request) -> Response:
        try:
            body = await read_json(request, door.settings.max_body_bytes, door.settings.body_timeout_s)
            wish = _parsed(collection, body or default)
            key = idempotency_key(request)
            wait_s = wanted_wait_s(request, door.settings.max_wait_s)
            caller = caller_of(request)
            job = door.new_job(caller, collection, wish, key)
            take_in = door.take_in(caller, collection, job, may_be_known=key is not None)
            if wait_s:
                return await _taken_in_and_awaited(door, request, collection, job, take_in, wait_s)
            known = await take_in
        except ProblemError as refusal:
            door.metrics.refused(collection.name, refusal.problem.kind)
            raise
        if known is None:
            return show_accepted(job, collection.name, root_of(request.scope))
        return await show_taken_in(door, request, known, wait_s)

    return add


async def _taken_in_and_awaited(
    door: Door, request: Request, collection: Collection, job: Job, take_in: Awaitable[JobView | None], wait_s: float
) -> Response:
    """Listens first: whatever becomes of a job that nobody knew before is told from then on."""
    with door.waiters.listening(job.id) as ear:
        known = await take_in
        view = known or JobView.queued(job, collection.name)
        return await show_taken_in(door, request, view, wait_s, ear=None if known else ear)


def _parsed(collection: Collection, body: bytes) -> Add:
    try:
        return collection.parse_add(body)
    except MalformedAdd as error:
        raise refuse(Kind.MALFORMED, str(error)) from None
    except InvalidAdd as error:
        raise refuse(Kind.INVALID, error.faults[0].detail, errors=error.faults) from None
