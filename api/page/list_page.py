"""GET /ui/jobs: the jobs that ended, or those that wait; and the search for one by its id or its key."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError

from api.bulk_door import BulkDoor
from api.callers import Caller, Scope, caller_of
from api.door import Door
from api.job_list import PageFilter
from api.page.frame import or_problem, route
from api.page.rendering import Pages, go
from api.page.rows import read_rows
from api.problems import ProblemError, refuse
from shared.contract import Status
from shared.ids import as_id, keyed_id
from shared.problems import FieldError, Kind, Problem

ROWS = 50

WAITING = (Status.QUEUED, Status.RUNNING, Status.RETRYING)
ENDED = (Status.SUCCEEDED, Status.EXHAUSTED, Status.FAILED, Status.CANCELLED)

WAITING_QUERY = urlencode([("status", status.value) for status in WAITING])

WAITING_QUERY = urlencode([("status", status.value) for status in WAITING])

FIELDS = ("collection", "since", "until", "cursor")

_A_MINUTE = len("2026-01-01T12:00")
_A_SECOND = len("2026-01-01T12:00:00")


def install(app: FastAPI, door: Door, pages: Pages) -> None:
    bulks = BulkDoor(door)

    async def jobs(request: Request) -> Response:
        caller = caller_of(request)
        if wanted := request.query_params.get("find", "").strip():
            return go(request, await _found(door, bulks, caller, wanted))
        asked = read_filter(request.query_params.multi_items())
        page = await read_rows(door, caller, asked)
        query = urlencode(fields_of(asked))
        return pages.render(
            request,
            "jobs.html",
            asked=asked,
            statuses=WAITING if asked.is_of_waiting else ENDED,
            waiting=WAITING_QUERY,
            again_url=None if asked.is_of_waiting else f"/ui/retry?{urlencode(fields_of(asked))}",
            collections=sorted(door.collections),
            rows=page.rows,
            here_url=f"/ui/jobs?{query}" if query else "/ui/jobs",
            next_url=f"/ui/jobs?{urlencode({'cursor': page.next})}&{query}" if page.next else None,
            is_live=asked.cursor is None,
        )

    route(app, pages, "GET", "/ui/jobs", jobs, Scope.READ)


def read_filter(fields: Iterable[tuple[str, str]]) -> PageFilter:
    """What a query or a form asks for; what was left empty was not asked for."""
    asked: dict[str, Any] = {"status": [], "limit": ROWS}
    for name, value in fields:
        if name == "status":
            asked[name].append(value)
        elif name in FIELDS and value:
            asked[name] = _with_zone(value) if name in {"since", "until"} else value
    try:
        return PageFilter(**asked)
    except ValidationError as error:
        faults = [FieldError(pointer=f"/query/{e['loc'][0]}", detail=e["msg"]) for e in error.errors()]
        raise refuse(Kind.INVALID, f"{faults[0].pointer}: {faults[0].detail}", errors=faults) from None


def _with_zone(moment: str) -> str:
    """A browser's form has no zone to give: its times are UTC, as all that the page shows."""
    if len(moment) in {_A_MINUTE, _A_SECOND}:
        return moment + (":00Z" if len(moment) == _A_MINUTE else "Z")
    return moment


def fields_of(asked: PageFilter) -> list[tuple[str, str]]:
    """The filter as fields of a query or a form, without the place in the list."""
    fields = [("status", status.value) for status in asked.status]
    if asked.collection:
        fields.append(("collection", asked.collection))
    fields += [
        (name, at.isoformat().replace("+00:00", "Z")) for name in ("since", "until") if (at := getattr(asked, name))
    ]
    return fields


async def _found(door: Door, bulks: BulkDoor, caller: Caller, text: str) -> str:
    """Where the job or the bulk is that `text` names, by its id or by an idempotency key of `caller`'s own."""
    id_ = as_id(text)
    job, bulk = (id_, id_) if id_ else (keyed_id(caller.name, text), keyed_id(caller.name, f"bulk\0{text}"))
    found = await or_problem(door.find(caller, job))
    if not isinstance(found, Problem):
        return f"/ui/jobs/{found.id}"
    if found.kind is not Kind.UNKNOWN_JOB:
        raise ProblemError(found)
    view = await or_problem(bulks.view(caller, str(bulk)))
    if not isinstance(view, Problem):
        return f"/ui/bulk/{view.id}"
    if view.kind is not Kind.UNKNOWN_BULK:
        raise ProblemError(view)
    what = "id" if id_ else "idempotency key"
    raise refuse(Kind.UNKNOWN_JOB, f"no job and no bulk has the {what} {text}")
