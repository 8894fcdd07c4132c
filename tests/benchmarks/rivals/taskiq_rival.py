"""taskiq on a Redis stream, with its Redis result backend."""

from typing import Any

from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from tests.benchmarks.rivals.loop import AT_A_TIME, Sessions, add, open_sessions, redis_url
from tests.benchmarks.rivals.rival import side_by_side

RESULT_S = 3600
PREFETCH = AT_A_TIME


def open_broker() -> Any:
    results: Any = RedisAsyncResultBackend(redis_url(), result_ex_time=RESULT_S)
    return RedisStreamBroker(redis_url()).with_result_backend(results)


def with_task(broker: Any, sessions: Sessions | None) -> Any:
    async def insert(candidates: list[str]) -> int | None:
        assert sessions is not None
        return await add(sessions, candidates)

    return broker.task(task_name="insert")(insert)


class Taskiq:
    async def fill(self, adds: int) -> None:
        broker = open_broker()
        insert = with_task(broker, None)
        await broker.startup()
        await side_by_side(adds, insert.kiq)
        await broker.shutdown()

    async def work(self, adds: int) -> None:
        broker = open_broker()
        async with open_sessions() as sessions:
            with_task(broker, sessions)
            broker.is_worker_process = True
            await broker.startup()
            try:
                await run_receiver_task(broker, max_async_tasks=AT_A_TIME, max_prefetch=PREFETCH)
            finally:
                await broker.shutdown()


def rival() -> Taskiq:
    return Taskiq()
