"""GET and POST /ui/retry: the failed jobs of a filter are sent again, after a look at how many they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from fastapi import FastAPI, Request, Response

from api.callers import Caller, Scope, caller_of
from api.door import Door
from api.job_list import LARGEST_PAGE, JobList, PageFilter, cursor_of_ended
from api.page.frame import MAX_FORM, read_fields, route
from api.page.list_page import fields_of, read_filter
from api.page.rendering import Pages
from api.page.rows import sent_again
from api.problems import ProblemError
from api.retry_door import RetryDoor
from shared.clock import utc_now
from shared.contract import Status
from shared.problems import Problem

MOST = 1_000
"""Jobs that are sent again at a time: as many as a request can do while somebody waits for it."""

LOOK_THROUGH = 10_000
"""Failed jobs that are looked through for those that were not sent again yet."""


@dataclass(frozen=True)
class Unsent:
    """Failed jobs that were not sent again yet, the newest first; there may be `more` of them."""

    jobs: list[UUID]
    more: bool


@dataclass
class Sent:
    """What came of it: how many are on their way, why others cannot be sent, and what ended it early."""

    count: int
    refused: list[Problem]
    trouble: Problem | None


def install(app: FastAPI, door: Door, pages: Pages) -> None:
    retries = RetryDoor(door)

    async def ask(request: Request) -> Response:
        asked = _failed(read_filter(request.query_params.multi_items()))
        # Those, and not one that fails while somebody reads how many they are.
        asked.until = min(asked.until, utc_now()) if asked.until else utc_now()
        unsent = await find_unsent(door, caller_of(request), asked)
        return pages.render(
            request, "retry.html", asked=asked, unsent=unsent, fields=fields_of(asked), list_url=_list_url(asked)
        )

    async def send(request: Request) -> Response:
        caller = caller_of(request)
        asked = _failed(read_filter(await read_fields(request, MAX_FORM)))
        unsent = await find_unsent(door, caller, asked)
        sent = await _send(retries, caller, unsent.jobs)
        return pages.render(request, "retried.html", sent=sent, more=unsent.more, list_url=_list_url(asked))

    route(app, pages, "GET", "/ui/retry", ask, Scope.ADD)
    route(app, pages, "POST", "/ui/retry", send, Scope.ADD)


def _failed(asked: PageFilter) -> PageFilter:
    return asked.model_copy(update={"status": [Status.FAILED], "limit": LARGEST_PAGE, "cursor": None})


def _list_url(asked: PageFilter) -> str:
    return f"/ui/jobs?{urlencode(fields_of(asked.model_copy(update={'until': None})))}"


async def find_unsent(door: Door, caller: Caller, asked: PageFilter) -> Unsent:
    """The first `MOST` jobs that `asked` wants and that were not sent again yet."""
    listed, found, looked = JobList(door), list[UUID](), 0
    while True:
        page = await listed.ended(caller, asked)
        jobs = [receipt.id for receipt in page.receipts]
        again = await sent_again(door, jobs)
        found += [job for job in jobs if job not in again]
        looked += len(jobs)
        if page.next is None or len(found) > MOST or looked >= LOOK_THROUGH:
            return Unsent(found[:MOST], more=page.next is not None or len(found) > MOST)
        asked = asked.model_copy(update={"cursor": cursor_of_ended(page.next)})


async def _send(retries: RetryDoor, caller: Caller, jobs: Sequence[UUID]) -> Sent:
    sent = Sent(0, [], None)
    for start in range(0, len(jobs), LARGEST_PAGE):
        try:
            retried = await retries.retry_all(caller, jobs[start : start + LARGEST_PAGE])
        except ProblemError as error:
            # What was sent by then was sent; when it is asked for again, that is found.
            sent.trouble = error.problem
            break
        sent.count += sum(one.retry is not None for one in retried)
        sent.refused += [one.error for one in retried if one.error is not None]
    return sent
