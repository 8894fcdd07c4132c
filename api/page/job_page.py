"""GET /ui/jobs/{id}, and the forms on it that cancel the job and send it again."""

from fastapi import FastAPI, Request, Response

from api.callers import Scope, caller_of
from api.door import Door, id_of
from api.page.frame import MAX_FORM, inner_path, read_fields, route
from api.page.rendering import Pages, go
from api.page.rows import sent_again
from api.page.story import read_story
from api.problems import ProblemError
from api.retry_door import RETRYABLE, RetryDoor
from shared.problems import Kind

TOLD = {
    "too-late": "It was too late to cancel this job: it had already ended.",
    "again": "Sent again: this is the new job.",
}
"""What a form says on the page that it leads to."""


def install(app: FastAPI, door: Door, pages: Pages) -> None:

    retries = RetryDoor(door)

    async def job(request: Request) -> Response:
        story = await read_story(door, caller_of(request), id_of(request.path_params["job"]))
        again = await sent_again(door, [story.id]) if story.status in RETRYABLE else {}
        return pages.render(
            request,
            "job.html",
            job=story,
            told=TOLD.get(request.query_params.get("told", "")),
            again=again.get(story.id),
            is_live=not story.status.is_outcome,
            can_retry=story.status in RETRYABLE,
        )

    async def retry(request: Request) -> Response:
        again = await retries.retry(caller_of(request), id_of(request.path_params["job"]))
        return go(request, await back_of(request) or f"/ui/jobs/{again.id}?told=again")

    async def cancel(request: Request) -> Response:
        job = request.path_params["job"]
        try:
            await door.cancel(caller_of(request), job)
        except ProblemError as error:
            if error.problem.kind is not Kind.TOO_LATE:
                raise
            return go(request, f"/ui/jobs/{job}?told=too-late")
        return go(request, await back_of(request) or f"/ui/jobs/{job}")

    route(app, pages, "GET", "/ui/jobs/{job}", job, Scope.ADD, Scope.READ)
    route(app, pages, "POST", "/ui/jobs/{job}/retry", retry, Scope.ADD)
    route(app, pages, "POST", "/ui/jobs/{job}/cancel", cancel, Scope.ADD)


async def back_of(request: Request) -> str | None:
    """The list from which the form was sent, to which it leads back."""
    return inner_path(dict(await read_fields(request, MAX_FORM)).get("back", ""))
