"""SAQ on Redis: a blocking dequeue, so that nothing is polled for."""

from typing import Any

from saq import Queue, Worker

from tests.benchmarks.rivals.loop import AT_A_TIME, ENQUEUERS, add, open_sessions, redis_url
from tests.benchmarks.rivals.rival import side_by_side


async def insert(ctx: dict[str, Any], *, candidates: list[str]) -> int | None:
    return await add(ctx["sessions"], candidates)


def open_queue() -> Any:
    return Queue.from_url(redis_url(), max_concurrent_ops=ENQUEUERS)


class Saq:
    async def fill(self, adds: int) -> None:
        queue = open_queue()
        await queue.connect()
        await side_by_side(adds, lambda candidates: queue.enqueue("insert", candidates=candidates))
        await queue.disconnect()

    async def work(self, adds: int) -> None:
        queue = open_queue()
        async with open_sessions() as sessions:
            await queue.connect()
            worker: Any = Worker(queue, [insert], concurrency=AT_A_TIME)
            worker.SIGNALS = []
            worker.context["sessions"] = sessions
            await worker.start()
            await queue.disconnect()


def rival() -> Saq:
    return Saq()
