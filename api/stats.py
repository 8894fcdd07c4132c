"""GET /stats: the queue, the workers and the last hour, as the operator's page and `dibs top` show them."""

import asyncio
from datetime import datetime
from typing import Self

from fastapi import FastAPI
from pydantic import BaseModel, Field

from api.callers import Scope, needs
from api.door import Door
from api.problems import responses
from shared.contract import Status
from shared.problems import Kind
from shared.tally import Minute
from shared.tickets import Worker


class QueueStats(BaseModel):
    depth: int = Field(description="Jobs without a receipt")
    limit: int = Field(description="Jobs that may wait")
    oldest_age_s: float | None = Field(description="How long the one that waits longest has waited")


class MinuteStats(BaseModel):
    """The jobs that ended in the minute from `at`, and how long they took from submit to receipt."""

    at: datetime
    counts: dict[Status, int]
    p50_ms: float | None
    p99_ms: float | None

    @classmethod
    def of(cls, minute: Minute) -> Self:
        p50_ms, p99_ms = (_rounded(minute.quantile_ms(share)) for share in (0.5, 0.99))
        return cls(at=minute.at, counts=minute.counts, p50_ms=p50_ms, p99_ms=p99_ms)


class Stats(BaseModel):
    """`minutes` are the last 60, the oldest first; counted for those who watch: the receipts are the truth."""

    queue: QueueStats
    workers: list[Worker]
    minutes: list[MinuteStats]


def install(app: FastAPI, door: Door) -> None:
    @app.get(
        "/stats",
        tags=["health"],
        summary="The queue, the workers and the last hour",
        responses=responses(Kind.QUEUE_AWAY),
    )
    @needs(Scope.READ)
    async def stats() -> Stats:
        return await read_stats(door)


async def read_stats(door: Door) -> Stats:
    queue = door.queue
    with door.at_hand.queue():
        depth, oldest_age_s, workers, minutes = await asyncio.gather(
            queue.depth(), queue.oldest_age_s(), queue.workers(), queue.last_hour()
        )
    return Stats(
        queue=QueueStats(depth=depth, limit=queue.limit, oldest_age_s=oldest_age_s),
        workers=workers,
        minutes=[MinuteStats.of(minute) for minute in minutes],
    )


def _rounded(ms: float | None) -> float | None:
    """To a tenth: more the buckets do not know."""
    return None if ms is None else round(ms, 1)
