"""GET /jobs/{id}/events: what a job goes through, as server-sent events (HTML Living Standard, 9.2)."""

from collections.abc import AsyncIterator
from contextlib import ExitStack

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.types import Receive, Scope, Send

from api.callers import Scope as Allows
from api.callers import caller_of, needs
from api.door import Door, id_of
from api.headers import headers
from api.jobs import AWAY
from api.problems import refuse, responses
from api.reader import Found
from api.requests import Id
from api.roots import root_of
from api.waiters import Ear
from shared.problems import Kind

MEDIA_TYPE = "text/event-stream"

EVENT = {
    "description": "One event of the stream; `data` is the job as `GET /jobs/{id}` shows it.",
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("event", "id", "data")},
}

HEARTBEAT_S = 15.0
RECONNECT_MS = 1000

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would hold the events back

DESCRIPTION = (
    "`status` events tell where the job stands, each change of it within about a second, and in the end one `outcome` "
    "event, at once; the data of each is the job as `GET /jobs/{id}` shows it. Then the stream ends. With the id of "
    "the last event in `Last-Event-ID`, as an EventSource sends it, what was told already is not told again; after "
    "the outcome the answer is 204, by which an EventSource stops. A stream that ends without an outcome, as when the "
    "server stops, is to be opened again. A comment is sent every 15 seconds."
)

LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that was seen.",
    "schema": {"type": "string"},
    "example": "running.0",
}


class EventStream(StreamingResponse):
    """A stream with what it holds, which is let go when it ends, however it ends.

    FastAPI's own EventSourceResponse is answered with a 200 before its generator can say that there is no such job.
    """

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncIterator[bytes], held: ExitStack) -> None:
        super().__init__(events, headers=HEADERS)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


def install(app: FastAPI, door: Door) -> None:
    @app.get(
        "/jobs/{job_id}/events",
        tags=["jobs"],
        summary="Listen to a job",
        description=DESCRIPTION,
        response_class=StreamingResponse,
        responses={
            200: {
                "content": {MEDIA_TYPE: {"schema": EVENT}},
                "description": "The events",
                "headers": headers("Cache-Control"),
            },
            204: {"description": "The outcome was told already", "headers": headers("Cache-Control")},
            **responses(*AWAY, Kind.STREAMS_FULL),
        },
        openapi_extra={"parameters": [LAST_EVENT_ID]},
    )
    @needs(Allows.ADD, Allows.READ)
    async def events(job_id: Id, request: Request) -> Response:
        job, last_id = id_of(job_id), request.headers.get("last-event-id")
        with ExitStack() as held:
            if not held.enter_context(door.streams.one()):
                raise refuse(Kind.STREAMS_FULL, f"no more than {door.streams.limit} may be open; poll the job instead")
            ear = held.enter_context(door.waiters.listening(job))
            found = await door.find(caller_of(request), job)
            if found.status.is_outcome and last_id == id_of_event(found):
                return Response(status_code=204, headers={"Cache-Control": "no-store"})
            ear.wants_states = True
            return EventStream(told(ear, found, last_id, root_of(request.scope)), held.pop_all())


async def told(ear: Ear, found: Found, last_id: str | None, root: str = "") -> AsyncIterator[bytes]:
    """The events of a job that was `found` so, from what follows on the one with `last_id`, until its outcome."""
    yield format_sse_event(retry=RECONNECT_MS)
    while True:
        if (event_id := id_of_event(found)) != last_id:
            last_id = event_id
            yield _event(found, root)
        if found.status.is_outcome:
            return
        news = await ear.news(HEARTBEAT_S)
        if ear.is_dismissed:
            return
        if news is None:
            yield KEEPALIVE_COMMENT
        else:
            found = news


def id_of_event(found: Found) -> str:
    """The same as long as the job stands where it stands: what a listener that comes back has missed is the rest."""
    return f"{found.status}.{found.tries}"


def _event(found: Found, root: str) -> bytes:
    name = "outcome" if found.status.is_outcome else "status"
    return format_sse_event(event=name, id=id_of_event(found), data_str=found.view().at(root).model_dump_json())
