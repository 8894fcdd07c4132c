"""docket on a Redis stream."""

from typing import Any

from docket import Docket, Worker

from tests.benchmarks.rivals.loop import AT_A_TIME, Sessions, add, open_sessions, redis_url
from tests.benchmarks.rivals.rival import side_by_side


def with_task(docket: Any, sessions: Sessions | None) -> Any:
    async def insert(candidates: list[str]) -> None:
        assert sessions is not None
        await add(sessions, candidates)

    docket.register(insert)
    return insert


class DocketRival:
    async def fill(self, adds: int) -> None:
        async with Docket(url=redis_url()) as docket:
            insert = with_task(docket, None)

            async def enqueue(candidates: list[str]) -> None:
                # A scheduler for each: a key belongs to one task.
                await docket.add(insert)(candidates)

            await side_by_side(adds, enqueue)

    async def work(self, adds: int) -> None:
        async with open_sessions() as sessions, Docket(url=redis_url()) as docket:
            with_task(docket, sessions)
            async with Worker(docket, concurrency=AT_A_TIME) as worker:
                await worker.run_forever()


def rival() -> DocketRival:
    return DocketRival()
