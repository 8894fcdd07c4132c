"""GET /health/live and /health/ready."""

import asyncio
from typing import Literal

from fastapi import FastAPI, Response
from pydantic import BaseModel

from api.door import Door
from shared.migrate import is_current
from shared.redis import REDIS_FAULTS

CHECK_S = 2.0


class Live(BaseModel):
    status: Literal["live"] = "live"


class Ready(BaseModel):
    """`ready`: all is well. `degraded`: adds are taken in, but wait. `unready`: no add can be taken in now."""

    status: Literal["ready", "degraded", "unready"]
    redis: bool
    database: Literal["current", "not migrated", "away"]
    queue_depth: int | None
    queue_limit: int
    workers: int | None


def install(app: FastAPI, door: Door) -> None:

    @app.get("/health/live", tags=["health"], summary="Whether the process answers")
    async def live() -> Live:
        return Live()

    @app.get(
        "/health/ready",
        tags=["health"],
        summary="Whether adds are taken in, and whether they get done",
        description="503 only while no add can be taken in: the door stays open while the database or the workers "
        "are away, and says `degraded`.",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "No add can be taken in now"}},
    )
    async def ready() -> Response:
        report = await _report(door)
        return Response(report.model_dump_json(), 503 if report.status == "unready" else 200, None, "application/json")


async def _report(door: Door) -> Ready:
    (depth, workers), database = await asyncio.gather(_redis(door), _database(door))
    if depth is None or depth >= door.queue.limit:
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
