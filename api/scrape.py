"""GET /metrics: what this process has counted, and how the queue and the servers stand now."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from prometheus_client.core import GaugeMetricFamily

from api.callers import Scope, needs
from api.door import Door
from shared.metrics import Metrics
from shared.redis import REDIS_FAULTS

LOOK_S = 1.0
"""How long a scrape waits for Redis and for the database; Prometheus itself gives up after ten seconds."""


@dataclass(frozen=True)
class Seen:
    """How things stand; None is what nobody could say."""

    depth: int | None = None
    oldest_age_s: float | None = None
    workers: int | None = None
    database: bool = False

    def gauges(self, limit: int) -> Iterator[tuple[str, str, float | None]]:
        is_up = self.depth is not None
        yield "dibs_redis_up", "Whether Redis answered within a second, 1 or 0.", is_up
        yield "dibs_database_up", "Whether the database answered within a second, 1 or 0.", self.database
        yield "dibs_queue_depth", "Jobs without a receipt; absent while Redis is away.", self.depth
        yield "dibs_queue_limit", "Waiting jobs, past which a submit is answered with 503.", limit
        age_s = self.oldest_age_s or 0.0
        yield (
            "dibs_queue_oldest_age_seconds",
            "How long the job that waits longest has waited, 0 where none waits; absent while Redis is away.",
            age_s if is_up else None,
        )
        yield (
            "dibs_workers",
            "Workers that gave a sign of life within their lease; absent while Redis is away.",
            self.workers,
        )


class Gauges:
    """A collector of what was seen last."""

    def __init__(self, limit: int) -> None:
        self.seen = Seen()
        self._limit = limit

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, told, value in self.seen.gauges(self._limit):
            yield GaugeMetricFamily(name, told, value=value)


def install(app: FastAPI, door: Door, metrics: Metrics) -> None:
    gauges = Gauges(door.queue.limit)
    metrics.registry.register(gauges)

    @app.get(
        "/metrics",
        tags=["health"],
        summary="Metrics for Prometheus",
        description="docs/reference/metrics.md names them all. A server that is away is a gauge of 0, not an error.",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The metrics"}},
    )
    @needs(Scope.READ)
    async def scrape(request: Request) -> Response:
        # Nothing is awaited between this and the exposition: two scrapes at a time do not mix.
        gauges.seen = await look(door)
        body, media_type = metrics.expose(request.headers.get("accept", ""))
        return Response(body, 200, {"Content-Type": media_type, "Cache-Control": "no-store"})


async def look(door: Door) -> Seen:
    """Ask Redis and the database, at most `LOOK_S` each."""
    queue, database = await asyncio.gather(_queue(door), _database(door))
    return Seen(*queue, database=database)


async def _queue(door: Door) -> tuple[int | None, float | None, int | None]:
    try:
        async with asyncio.timeout(LOOK_S):
            return await door.queue.depth(), await door.queue.oldest_age_s(), len(await door.queue.workers())
    except REDIS_FAULTS:
        return None, None, None


async def _database(door: Door) -> bool:
    try:
        async with asyncio.timeout(LOOK_S):
            return await door.database.answers()
    except TimeoutError:
        return False
