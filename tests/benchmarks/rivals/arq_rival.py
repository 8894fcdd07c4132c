"""arq, with its defaults and tuned."""

from typing import Any

from arq.connections import RedisSettings, create_pool
from arq.worker import Worker

from tests.benchmarks.rivals.loop import AT_A_TIME, add, open_sessions, redis_url
from tests.benchmarks.rivals.rival import side_by_side

TUNED: dict[str, Any] = {"max_jobs": AT_A_TIME, "poll_delay": 0.01}


async def insert(ctx: dict[str, Any], candidates: list[str]) -> int | None:
    return await add(ctx["sessions"], candidates)


class Arq:
    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options

    async def fill(self, adds: int) -> None:
        pool = await create_pool(RedisSettings.from_dsn(redis_url()))
        await side_by_side(adds, lambda candidates: pool.enqueue_job("insert", candidates))
        await pool.aclose()

    async def work(self, adds: int) -> None:
        async with open_sessions() as sessions:
            worker = Worker(
                [insert],
                redis_settings=RedisSettings.from_dsn(redis_url()),
                ctx={"sessions": sessions},
                handle_signals=False,
                **self._options,
            )
            try:
                await worker.main()
            finally:
                await worker.close()


def rival() -> Arq:
    return Arq({})
