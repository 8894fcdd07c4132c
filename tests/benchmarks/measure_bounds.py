"""bounds: what the parts would allow that dibs is made of."""

import asyncio
import time

import asyncpg

from tests.benchmarks.bench import Bench
from tests.benchmarks.measure_submit import empty_route_per_second
from tests.benchmarks.servers import plain
from tests.benchmarks.stage import Stage

CONNECTIONS = 20
ROWS_PER_STATEMENT = 1000
STATEMENTS = 50

INSERT = "INSERT INTO animals (name) VALUES ($1)"
INSERT_MANY = "INSERT INTO animals (name) SELECT unnest($1::text[])"


async def measure(bench: Bench) -> None:
    inserts = bench.scale.bound_inserts
    for _ in range(bench.scale.rounds):
        async with bench.ground.stage() as stage:
            single = inserts / await _singles_s(stage, inserts)
        async with bench.ground.stage() as stage:
            many = STATEMENTS * ROWS_PER_STATEMENT / await _multi_rows_s(stage)
        async with bench.ground.stage() as stage:
            route = await empty_route_per_second(bench, stage)
        note = f"{inserts} inserts, each its own commit, on {CONNECTIONS} connections"
        bench.figures.add("bounds", "single inserts", "asyncpg", "rows/s", single, note)
        note = f"{ROWS_PER_STATEMENT} rows in a statement, each its own commit, on one connection"
        bench.figures.add("bounds", "multi-row inserts", "asyncpg", "rows/s", many, note)
        bench.figures.add("bounds", "empty POST route", "FastAPI", "requests/s", route, "32 connections")
        bench.tell(f"bounds: {single:.0f} inserts/s, {many:.0f} rows/s, {route:.0f} requests/s")


async def _singles_s(stage: Stage, inserts: int) -> float:
    async with asyncpg.create_pool(plain(stage.database_url), min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        left = iter(range(inserts))

        async def insert_next() -> None:
            async with pool.acquire() as connection:
                for number in left:
                    await connection.execute(INSERT, f"a{number:08d}-0")

        start = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(insert_next())
        took_s = time.perf_counter() - start
    await stage.check(inserts, receipts=False)
    return took_s


async def _multi_rows_s(stage: Stage) -> float:
    start = time.perf_counter()
    for statement in range(STATEMENTS):
        first = statement * ROWS_PER_STATEMENT
        names = [f"a{number:08d}-0" for number in range(first, first + ROWS_PER_STATEMENT)]
        await stage.sql.execute(INSERT_MANY, names)
    took_s = time.perf_counter() - start
    await stage.check(STATEMENTS * ROWS_PER_STATEMENT, receipts=False)
    return took_s
