"""GET /jobs: pages of jobs that have ended, or of those that wait."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import FastAPI, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, TypeAdapter

from api.callers import Caller, Scope, caller_of, needs
from api.cursors import read_cursor, write_cursor
from api.door import Door
from api.headers import headers
from api.problems import refuse, responses
from api.roots import path_of, root_of
from shared.contract import OUTCOMES, JobView, Status
from shared.problems import FieldError, Kind
from shared.receipt_pages import Page, Place, Wanted, read_page
from shared.tickets import Waiting
from shared.waiting_pages import WaitingPage, WaitingPlace, read_waiting_page

PAGE = 20
LARGEST_PAGE = 100

DESCRIPTION = (
    "Without `status`, or with outcomes: those that have ended, newest first. With `queued`, `running` or `retrying`: "
    "those that wait, oldest first. Waiting and ended jobs are two lists: ask for one at a time. "
    "A page may have fewer jobs than `limit`, or none, although there are more: go on while `next` is not null. "
    "Nothing that is there all the while is left out or comes twice, whatever comes or goes between the pages."
)

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _rfc3339(text: object) -> object:
    if isinstance(text, str) and not _RFC3339.fullmatch(text):
        raise ValueError("must be a time as in RFC 3339, such as 2026-01-01T12:00:00Z")
    return text


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_utc)]
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00]*$")]

_ENDED = TypeAdapter(tuple[Literal["ended"], Moment, UUID])
_WAITING = TypeAdapter(tuple[Literal["waiting"], Annotated[int, Field(ge=0, lt=2**53)], UUID | None])


class JobPage(BaseModel):
    """Some jobs, and the cursor of the next page, or null where this was the last."""

    jobs: list[JobView]
    next: str | None

    def at(self, root: str) -> "JobPage":
        """The same, as it is told to whom dibs stands at `root`."""
        return JobPage(jobs=[job.at(root) for job in self.jobs], next=self.next) if root else self


def _not_null(schema: dict[str, Any]) -> None:
    """A parameter is given or it is not: there is no null in a query."""
    [given, _null] = schema.pop("anyOf")
    schema |= given


def _cursor_schema(schema: dict[str, Any]) -> None:
    _not_null(schema)
    schema |= {"format": "cursor", "minLength": 1}


class PageFilter(BaseModel):
    """Which jobs of those that the caller may see, and which page of them."""

    status: list[Status] = Field([], description="One or several, each as a parameter of its own")
    collection: Name | None = Field(None, json_schema_extra=_not_null)
    since: Moment | None = Field(
        None, description="Ended at that time or later (RFC 3339)", json_schema_extra=_not_null
    )
    until: Moment | None = Field(None, description="Ended before that time (RFC 3339)", json_schema_extra=_not_null)

    cursor: str | None = Field(None, description="`next` of the page before", json_schema_extra=_cursor_schema)
    limit: int = Field(PAGE, ge=1, le=LARGEST_PAGE)

    @property
    def is_of_waiting(self) -> bool:
        """Whether it is the waiting jobs that are asked for; raises a 422 where it is both or what cannot be."""
        waiting = [status for status in self.status if status not in OUTCOMES]
        if not waiting:
            return False
        if len(waiting) < len(self.status):
            raise _misfit("status", "waiting and ended jobs are two lists: ask for one at a time")
        for name in ("since", "until"):
            if getattr(self, name) is not None:
                raise _misfit(name, "a waiting job has not ended")
        return True


class JobList:
    """What the routes that list jobs do, without HTTP."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def page(self, caller: Caller, asked: PageFilter) -> JobPage:
        if asked.is_of_waiting:
            waiting = await self._waiting(caller, asked)
            return JobPage(jobs=[job.view() for job in waiting.jobs], next=_cursor("waiting", waiting.next))
        ended = await self.ended(caller, asked)
        return JobPage(jobs=[receipt.view() for receipt in ended.receipts], next=cursor_of_ended(ended.next))

    async def ended(self, caller: Caller, asked: PageFilter) -> Page:
        after = None if asked.cursor is None else Place(*read_cursor(asked.cursor, _ENDED)[1:])
        owner = None if Scope.ADMIN in caller.scopes else caller.name
        wanted = Wanted(frozenset(asked.status), asked.collection, owner, asked.since, asked.until)
        with self._door.at_hand.database():
            async with self._door.database.reads() as session:
                return await read_page(session, wanted, after, asked.limit)

    async def _waiting(self, caller: Caller, asked: PageFilter) -> WaitingPage:
        after = None if asked.cursor is None else WaitingPlace(*read_cursor(asked.cursor, _WAITING)[1:])

        def is_wanted(job: Waiting) -> bool:
            is_there = asked.collection in {None, job.ticket.collection}
            return is_there and job.status in asked.status and caller.may_see(job.caller)

        with self._door.at_hand.queue():
            return await read_waiting_page(self._door.queue, is_wanted, after, asked.limit)


def install(app: FastAPI, jobs: JobList) -> None:
    @app.get(
        "/jobs",
        tags=["jobs"],
        summary="Jobs that have ended, or that wait",
        description=DESCRIPTION,
        response_model=JobPage,
        responses={
            200: {"description": "A page", "headers": headers("Cache-Control", "Link")},
            **responses(Kind.INVALID, Kind.QUEUE_AWAY, Kind.DATABASE_AWAY),
        },
    )
    @needs(Scope.READ)
    async def page(asked: Annotated[PageFilter, Query()], request: Request) -> Response:
        shown = (await jobs.page(caller_of(request), asked)).at(root_of(request.scope))
        links = {"Cache-Control": "no-store"} | next_link(request, shown.next)
        return Response(shown.model_dump_json(), 200, links, "application/json")


def next_link(request: Request, cursor: str | None) -> dict[str, str]:
    """`Link: rel="next"` (RFC 8288): the same request with `cursor`."""
    if cursor is None:
        return {}
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    address = root_of(request.scope) + path_of(request.scope)
    return {"Link": f'<{address}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'}


def cursor_of_ended(place: Place | None) -> str | None:
    return _cursor("ended", place)


def _cursor(which: str, place: Place | WaitingPlace | None) -> str | None:
    return None if place is None else write_cursor([which, *place])


def _misfit(name: str, detail: str) -> Exception:
    return refuse(Kind.INVALID, detail, errors=[FieldError(pointer=f"/query/{name}", detail=detail)])
