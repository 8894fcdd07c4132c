"""POST /bulk/{collection}, GET /bulk/{id} and GET /bulk/{id}/results."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.bulk_door import MAX_LINES, BulkDoor, Part
from api.bulk_view import BulkView
from api.callers import Scope, caller_of, needs
from api.door import Door
from api.headers import PREFER, headers
from api.jobs import applied
from api.lines import lines_of
from api.problems import responses
from api.requests import KEY_HEADER, Id, idempotency_key, read_steadily, require_ndjson, wanted_wait_s
from api.roots import root_of
from shared.encoding import encode
from shared.problems import Kind

NDJSON = "application/x-ndjson"

Line = Annotated[int, Query(ge=0, le=MAX_LINES)]

HEADERS = [
    {
        **KEY_HEADER,
        "description": "Makes a bulk that broke off safe to send again: what was taken in is not taken in twice.",
        "example": "import-2026-01",
    }
]


def install(app: FastAPI, door: Door) -> None:
    bulks = BulkDoor(door)
    known = Annotated[str, Path(json_schema_extra={"enum": sorted(door.collections)})]

    @app.post(
        "/bulk/{collection}",
        tags=["bulk"],
        status_code=202,
        summary="Add many, one add a line",
        description="Newline-delimited JSON, one add a line, of any length: it is read as fast as the queue takes it "
        "in. A line that is no add becomes a failed job with the line's number; the others go on. Under an "
        "Idempotency-Key a bulk may be sent in parts: `after` is how many of its lines come before these, `more` says "
        "that these are not the last.",
        response_model=BulkView,
        responses=responses(
            Kind.MALFORMED,
            Kind.UNKNOWN_COLLECTION,
            Kind.TOO_LARGE,
            Kind.MEDIA,
            Kind.INVALID,
            Kind.KEY_REUSED,
            Kind.QUEUE_FULL,
            Kind.QUEUE_AWAY,
            Kind.STOPPING,
        ),
        openapi_extra={
            "parameters": HEADERS,
            "requestBody": {
                "required": True,
                "content": {NDJSON: {"schema": {}, "example": '{"candidates":["Max"]}\n'}},
            },
        },
    )
    @needs(Scope.ADD)
    async def bulk(collection: known, request: Request, after: Line = 0, *, more: bool = False) -> Response:
        chosen = door.collection(collection)
        require_ndjson(request)
        key = idempotency_key(request)
        parts = read_steadily(request, door.settings.body_timeout_s)
        lines = lines_of(parts, door.settings.max_line_bytes)
        view = await bulks.take_in(caller_of(request), chosen, lines, key, Part(after, more))
        shown = view.at(root_of(request.scope))
        return Response(shown.model_dump_json(), 202, {"Location": shown.links.self}, "application/json")

    @app.get(
        "/bulk/{bulk_id}",
        tags=["bulk"],
        summary="How far a bulk is",
        description="With `Prefer: wait=N` the answer is held until all of its jobs have ended.",
        response_model=BulkView,
        responses={
            200: {"description": "The bulk", "headers": headers("Cache-Control", "Preference-Applied")},
            **responses(Kind.UNKNOWN_BULK, Kind.QUEUE_AWAY, Kind.DATABASE_AWAY),
        },
        openapi_extra={"parameters": [PREFER]},
    )
    @needs(Scope.ADD, Scope.READ)
    async def counts(bulk_id: Id, request: Request) -> Response:
        caller = caller_of(request)
        with door.wait(wanted_wait_s(request, door.settings.max_wait_s)) as wait_s:
            view = await (bulks.ended(caller, bulk_id, wait_s) if wait_s else bulks.view(caller, bulk_id))
        told = {"Cache-Control": "no-store"} | applied(wait_s)
        return Response(view.at(root_of(request.scope)).model_dump_json(), 200, told, "application/json")

    @app.get(
        "/bulk/{bulk_id}/results",
        tags=["bulk"],
        summary="The outcomes of a bulk, in the order of its lines",
        description="Newline-delimited JSON: each line's number, and its job as `GET /jobs/{id}` shows it. `after` and "
        "`limit` choose some of the lines.",
        response_class=StreamingResponse,
        responses={
            200: {"content": {NDJSON: {"schema": {"type": "string"}}}, "description": "One outcome a line"},
            **responses(Kind.UNKNOWN_BULK, Kind.INVALID, Kind.QUEUE_AWAY, Kind.DATABASE_AWAY),
        },
    )
    @needs(Scope.ADD, Scope.READ)
    async def results(
        bulk_id: Id, request: Request, after: Line = 0, limit: Annotated[int | None, Query(ge=1)] = None
    ) -> StreamingResponse:
        caller = caller_of(request)
        found, known = await bulks.find(caller, bulk_id)
        root = root_of(request.scope)
        lines = bulks.results(caller, found, known.lines, root=root, after=after, limit=limit)
        return StreamingResponse(_ndjson(lines), media_type=NDJSON)


async def _ndjson(results: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for result in results:
        yield encode(result) + b"\n"
