"""Errors on their way out: each is a problem (RFC 9457), whatever raised it."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from api.roots import root_of
from shared.contract import JobView
from shared.encoding import encode
from shared.ids import as_id
from shared.problem_kinds import ABOUT
from shared.problems import MEDIA_TYPE, FieldError, Kind, Problem, problem

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2

BY_HTTP_STATUS = {404: Kind.NOT_FOUND, 405: Kind.METHOD, 413: Kind.TOO_LARGE, 415: Kind.MEDIA}


class ProblemError(Exception):
    """Ends a request with `problem`; `job` goes along where it tells the caller what is so instead."""

    def __init__(self, told: Problem, *, job: JobView | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(told.detail)
        self.problem = told
        self.job = job
        self.headers = headers


def refuse(
    kind: Kind, detail: str, *, errors: list[FieldError] | None = None, headers: Mapping[str, str] | None = None
) -> ProblemError:
    return ProblemError(problem(kind, detail, errors=errors), headers=headers)


def respond(
    told: Problem, root: str, *, job: JobView | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """`told` as an answer to somebody to whom dibs stands at `root`."""
    status = told.status or 500
    body = told.at(root).model_dump(mode="json", exclude_none=True)
    if job is not None:
        body["job"] = job.at(root).model_dump(mode="json")
    more = dict(headers or {})
    if status in {429, 503}:
        more.setdefault("Retry-After", str(RETRY_AFTER_S))
    if status == HTTPStatus.REQUEST_TIMEOUT:
        more["Connection"] = "close"  # the rest of the body may come for ever
    return Response(encode(body), status, more, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let `app` answer every error as a problem."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return respond(error.problem, root_of(request.scope), job=error.job, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [
            FieldError(pointer="/" + "/".join(str(part) for part in e["loc"]), detail=e["msg"]) for e in error.errors()
        ]
        return respond(problem(Kind.INVALID, errors[0].detail, errors=errors), root_of(request.scope))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        kind = BY_HTTP_STATUS.get(error.status_code, Kind.MALFORMED)
        told = problem(kind, f"{request.method} {request.scope['path']}: {error.detail}")
        headers = dict(error.headers or {})
        if kind is Kind.METHOD and (methods := _methods_at(app, request)):
            headers["Allow"] = ", ".join(sorted(methods))
        return respond(told, root_of(request.scope), headers=headers)

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, _error: ClientDisconnect) -> Response:
        log.info("%s %s: the caller went away", request.method, request.scope["path"])
        return respond(problem(Kind.MALFORMED, "the request ended before its body did"), root_of(request.scope))

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, _error: Exception) -> Response:
        # The server logs the traceback; the caller is told nothing that could be a secret.
        told = problem(Kind.INTERNAL, "the request could not be answered; the server's log says why")
        return respond(told, root_of(request.scope))


def _methods_at(app: FastAPI, request: Request) -> set[str]:
    """All methods of an address: its routes know only their own. Where an id may stand, no name of a collection may."""
    methods: set[str] = set()
    scope = {**request.scope, "path_params": {}}
    for route in app.routes:
        match, found = route.matches(scope)
        parameters: dict[str, str] = found.get("path_params", {})
        if match is not Match.NONE and all(
            (as_id(value) is not None) == name.endswith("_id") for name, value in parameters.items()
        ):
            methods |= getattr(route, "methods", None) or set()
    return methods


def responses(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the problems that an operation may answer with."""
    told: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status = ABOUT[kind].status
        assert status is not None, f"nobody is answered with {kind}"
        entry = told.setdefault(
            status.value,
            {
                "description": status.phrase,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        if status.value in {429, 503}:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
        example = problem(kind, "…").model_dump(exclude_none=True)
        entry["content"][MEDIA_TYPE]["examples"][kind.value] = {"value": example}
    return told
