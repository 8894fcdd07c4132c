"""GET and DELETE /jobs/{id}."""

import contextlib
from typing import Any

from fastapi import FastAPI, Request, Response

from api.callers import Scope, caller_of, needs
from api.door import Door, id_of
from api.headers import PREFER, headers
from api.problems import ProblemError, responses
from api.reader import Found
from api.requests import Id, wanted_wait_s
from api.roots import root_of
from api.thin_route import ThinRoute
from api.waiters import Ear
from shared.contract import Job, JobView, Status, dump_view
from shared.problems import MEDIA_TYPE, Kind

RETRY_AFTER_S = 1

PENDING = headers("Cache-Control", "Retry-After", "Preference-Applied")
ENDED = headers("Cache-Control", "Preference-Applied")
TAKEN_IN: dict[int | str, dict[str, Any]] = {
    200: {"model": JobView, "description": "The job has ended", "headers": headers("Location") | ENDED},
    202: {"description": "The job is in the queue", "headers": headers("Location") | PENDING},
}

AWAY = (Kind.UNKNOWN_JOB, Kind.QUEUE_AWAY, Kind.DATABASE_AWAY)


Shown = JobView | Found


def applied(wait_s: float | None) -> dict[str, str]:
    """What an answer says of the `Prefer: wait` that it was asked with (RFC 7240, 3)."""
    return {} if wait_s is None else {"Preference-Applied": f"wait={wait_s:g}"}


def show(job: Shown, root: str, wait_s: float | None, *, pending: int) -> Response:
    """A job as an answer to somebody to whom dibs stands at `root`: 200 when it has ended, `pending` with
    `Retry-After` while it has not.
    """
    told = {"Cache-Control": "no-store"} | applied(wait_s)
    if not job.status.is_outcome:
        told["Retry-After"] = str(RETRY_AFTER_S)
    status = 200 if job.status.is_outcome else pending
    return Response(job.dump(root), status, told, "application/json")


class _Accepted(Response):
    """What nearly every submit is answered with: as a Response with these headers, which are ready here."""

    def __init__(self, body: bytes, location: str) -> None:
        self.status_code, self.background, self.body = 202, None, body
        self.raw_headers = [*_ACCEPTED, (b"content-length", b"%d" % len(body)), (b"location", location.encode())]


_ACCEPTED = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"retry-after", b"%d" % RETRY_AFTER_S),
]


def show_accepted(job: Job, collection: str, root: str) -> Response:
    """A job that went into the queue just now as an answer: as `show`, without the detour of a view."""
    body = dump_view(job.id, collection, Status.QUEUED, job.submitted_at, root, retry_of=job.retry_of)
    return _Accepted(body, f"{root}/jobs/{job.id}")


async def show_taken_in(
    door: Door, request: Request, job: Shown, wait_s: float | None, *, ear: Ear | None = None
) -> Response:
    """A job that is in the queue as an answer: 202, or 200 where it has ended, if need be within `wait_s`.

    An `ear` has listened to it since before it was submitted.
    """
    # The job is taken in: should anything go wrong with the wait, that is still the answer.
    with door.wait(None if job.status.is_outcome else wait_s) as granted_s, contextlib.suppress(ProblemError):
        if granted_s:
            job = await door.outcome(caller_of(request), job.id, granted_s, ear=ear)
    root = root_of(request.scope)
    answer = show(job, root, wait_s if job.status.is_outcome else granted_s, pending=202)
    answer.headers["Location"] = f"{root}/jobs/{job.id}"
    return answer


def install(app: FastAPI, door: Door) -> None:
    @needs(Scope.ADD, Scope.READ)
    async def job(job_id: Id, request: Request) -> Response:
        caller = caller_of(request)
        with door.wait(wanted_wait_s(request, door.settings.max_wait_s)) as wait_s:
            id_ = id_of(job_id)
            found = await (door.outcome(caller, id_, wait_s) if wait_s else door.find(caller, id_))
        return show(found, root_of(request.scope), wait_s, pending=200)

    app.router.add_api_route(
        "/jobs/{job_id}",
        job,
        methods=["GET"],
        route_class_override=ThinRoute,
        tags=["jobs"],
        summary="Where a job stands",
        response_model=JobView,
        responses={200: {"description": "The job", "headers": PENDING}, **responses(*AWAY)},
        openapi_extra={"parameters": [PREFER]},
    )

    @app.delete(
        "/jobs/{job_id}",
        tags=["jobs"],
        summary="Cancel a job",
        description="Exact: the job is cancelled and never inserts anything, or it is too late and stays as it is.",
        response_model=JobView,
        responses={
            200: {"description": "The job is cancelled", "headers": ENDED},
            **responses(*AWAY),
            **with_job(Kind.TOO_LATE),
        },
    )
    @needs(Scope.ADD)
    async def cancel(job_id: Id, request: Request) -> Response:
        view = await door.cancel(caller_of(request), job_id)
        return show(view, root_of(request.scope), None, pending=200)


def with_job(kind: Kind) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a problem with one member more: the job as it stands."""
    told = responses(kind)
    for one in told.values():
        one["content"][MEDIA_TYPE]["schema"] = {
            "allOf": [
                {"$ref": "#/components/schemas/Problem"},
                {
                    "type": "object",
                    "properties": {"job": {"$ref": "#/components/schemas/JobView"}},
                    "required": ["job"],
                },
            ]
        }
    return told
