"""streaQ on a Redis stream."""

import logging
from typing import Any

from streaq import Worker

from tests.benchmarks.rivals.loop import AT_A_TIME, Sessions, add, open_sessions, redis_url
from tests.benchmarks.rivals.rival import side_by_side


def open_worker(sessions: Sessions | None) -> tuple[Any, Any]:
    # It tells each task at INFO.
    logging.getLogger("streaq").setLevel(logging.WARNING)
    worker: Any = Worker(redis_url(), concurrency=AT_A_TIME, handle_signals=False)

    async def insert(candidates: list[str]) -> int | None:
        assert sessions is not None
        return await add(sessions, candidates)

    return worker, worker.task(name="insert")(insert)


class Streaq:
    async def fill(self, adds: int) -> None:
        worker, insert = open_worker(None)

        async def enqueue(candidates: list[str]) -> None:
            await insert.enqueue(candidates)

        async with worker:
            await side_by_side(adds, enqueue)

    async def work(self, adds: int) -> None:
        async with open_sessions() as sessions:
            worker, _ = open_worker(sessions)
            await worker.run_async()


def rival() -> Streaq:
    return Streaq()
