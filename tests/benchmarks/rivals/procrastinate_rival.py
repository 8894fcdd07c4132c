"""procrastinate: the queue is a table of the same PostgreSQL."""

import os
from typing import Any

from procrastinate import App, PsycopgConnector

from tests.benchmarks.rivals.loop import AT_A_TIME, Sessions, add, open_sessions
from tests.benchmarks.rivals.rival import side_by_side

MORE_CONNECTIONS = 2
"""The worker listens and fetches beside the jobs."""


def open_app(sessions: Sessions | None) -> tuple[Any, Any]:
    url = os.environ["BENCH_DATABASE_URL"].replace("postgresql+asyncpg://", "postgresql://")
    connector = PsycopgConnector(conninfo=url, min_size=AT_A_TIME, max_size=AT_A_TIME + MORE_CONNECTIONS)
    app: Any = App(connector=connector)

    async def insert(candidates: list[str]) -> int | None:
        assert sessions is not None
        return await add(sessions, candidates)

    return app, app.task(name="insert")(insert)


class Procrastinate:
    async def fill(self, adds: int) -> None:
        app, insert = open_app(None)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await side_by_side(adds, lambda candidates: insert.defer_async(candidates=candidates))

    async def work(self, adds: int) -> None:
        async with open_sessions() as sessions:
            app, _ = open_app(sessions)
            async with app.open_async():
                await app.run_worker_async(concurrency=AT_A_TIME, install_signal_handlers=False)


def rival() -> Procrastinate:
    return Procrastinate()
