"""GET /health/live and /health/ready."""

import asyncio
from typing import Literal

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from api.callers import Scope, caller_of, for_everybody
from api.door import Door
from shared.migrate import is_current
from shared.redis import REDIS_FAULTS

CHECK_S = 2.0


class Live(BaseModel):
    status: Literal["live"] = "live"


class Status(BaseModel):
    """`ready`: all is well. `degraded`: adds are taken in, but wait. `unready`: no add can be taken in now,
    or not for long, since the server stops.
    """

    status: Literal["ready", "degraded", "unready"]


class Ready(Status):
    """The status and what it comes from, for callers with the scope `read`."""

    redis: bool
    database: Literal["current", "not migrated", "away"]
    queue_depth: int | None
    queue_limit: int
    workers: int | None


def install(app: FastAPI, door: Door) -> None:

    @app.get("/health/live", tags=["health"], summary="Whether the process answers")
    @for_everybody
    async def live() -> Live:
        return Live()

    @app.get(
        "/health/ready",
        tags=["health"],
        summary="Whether adds are taken in, and whether they get done",
        description="503 only while no add can be taken in: the door stays open while the database or the workers "
        "are away, and says `degraded`. Without a key, or with one that may not read, the status is all it says.",
        response_model=Ready | Status,
        responses={503: {"model": Ready | Status, "description": "No add can be taken in now"}},
    )
    @for_everybody
    async def ready(request: Request) -> Response:
        report: Status = await _report(door)
        if caller_of(request).scopes.isdisjoint({Scope.READ, Scope.ADMIN}):
            report = Status(status=report.status)
        return Response(report.model_dump_json(), 503 if report.status == "unready" else 200, None, "application/json")


async def _report(door: Door) -> Ready:
    (depth, workers), database = await asyncio.gather(_redis(door), _database(door))
    if depth is None or depth >= door.queue.limit or door.waiters.closed:
        status: Literal["ready", "degraded", "unready"] = "unready"
    else:
        status = "ready" if database == "current" and workers else "degraded"
    return Ready(
        status=status,
        redis=depth is not None,
        database=database,
        queue_depth=depth,
        queue_limit=door.queue.limit,
        workers=workers,
    )


async def _redis(door: Door) -> tuple[int | None, int | None]:
    try:
        async with asyncio.timeout(CHECK_S):
            return await door.queue.depth(), len(await door.queue.workers())
    except REDIS_FAULTS:
        return None, None


async def _database(door: Door) -> Literal["current", "not migrated", "away"]:
    tables = [collection.table for collection in door.collections.values()]
    try:
        async with asyncio.timeout(CHECK_S):
            return "current" if await is_current(door.database.reader, tables) else "not migrated"
    except Exception:  # noqa: BLE001  # whatever it was, the answer did not come
        return "away"
