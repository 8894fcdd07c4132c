"""POST /jobs/{id}/retry and POST /jobs/retry."""

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel

from api.callers import Scope, caller_of, needs
from api.door import Door, id_of
from api.headers import PREFER, headers
from api.job_list import JobList, PageFilter, cursor_of_ended, next_link
from api.jobs import AWAY, TAKEN_IN, show_taken_in, with_job
from api.problems import refuse, responses
from api.requests import Id, wanted_wait_s
from api.retry_door import RETRYABLE, Retried, RetryDoor
from api.roots import root_of
from shared.contract import JobView, Status
from shared.problems import FieldError, Kind

AGAIN = (Kind.INVALID, Kind.QUEUE_FULL)


class RetryPage(BaseModel):
    """A page of jobs that ended, and the jobs that repeat them: `sent` of them were sent just now."""

    sent: int
    jobs: list[Retried]
    next: str | None


def install(app: FastAPI, door: Door, jobs: JobList) -> None:
    retries = RetryDoor(door)

    @app.post(
        "/jobs/{job_id}/retry",
        tags=["jobs"],
        status_code=202,
        summary="Send a job again",
        description="A new job with the content of one that failed, was exhausted or cancelled; `links.retry_of` "
        "leads back. However often it is asked for, it is sent once: the answer is the new job as it stands.",
        response_model=JobView,
        responses={
            **TAKEN_IN,
            **responses(*AWAY, *AGAIN),
            **with_job(Kind.NOT_RETRYABLE),
        },
        openapi_extra={"parameters": [PREFER]},
    )
    @needs(Scope.ADD)
    async def retry(job_id: Id, request: Request) -> Response:
        wait_s = wanted_wait_s(request, door.settings.max_wait_s)
        view = await retries.retry(caller_of(request), id_of(job_id))
        return await show_taken_in(door, request, view, wait_s)

    @app.post(
        "/jobs/retry",
        tags=["jobs"],
        summary="Send many jobs again, a page at a time",
        description="As `POST /jobs/{id}/retry` for each job of a page of `GET /jobs`, with the same parameters; "
        "without `status` those that failed. Go on with `cursor` while `next` is not null. Safe to repeat: a job is "
        "sent again once, and then it is the one that repeats it that may be.",
        response_model=RetryPage,
        responses={
            200: {"description": "A page", "headers": headers("Cache-Control", "Link")},
            **responses(Kind.QUEUE_AWAY, Kind.DATABASE_AWAY, *AGAIN),
        },
    )
    @needs(Scope.ADD)
    async def retry_page(asked: Annotated[PageFilter, Query()], request: Request) -> Response:
        if not asked.status:
            asked.status = [Status.FAILED]
        if not RETRYABLE.issuperset(asked.status):
            detail = f"may be {', '.join(sorted(RETRYABLE))}"
            raise refuse(Kind.INVALID, detail, errors=[FieldError(pointer="/query/status", detail=detail)])
        caller = caller_of(request)
        page = await jobs.ended(caller, asked)
        retried = await retries.retry_all(caller, [receipt.id for receipt in page.receipts])
        root = root_of(request.scope)
        jobs_there = [one.at(root) for one in retried]
        told = RetryPage(sent=sum(one.is_new for one in retried), jobs=jobs_there, next=cursor_of_ended(page.next))
        links = {"Cache-Control": "no-store"} | next_link(request, told.next)
        return Response(told.model_dump_json(), 200, links, "application/json")
