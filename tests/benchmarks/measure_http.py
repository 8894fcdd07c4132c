"""http: single adds over 32 connections, from the first request to the last commit."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import ARQ_TUNED, DIBS, Contender
from tests.benchmarks.doors import Door, dibs_door, loaded, rival_door
from tests.benchmarks.processes import Running, running
from tests.benchmarks.stage import Stage

WHAT = "by HTTP, until the last commit"
STACK = "FastAPI + arq tuned + loop"
SLOWEST_PER_S = 10.0


async def measure(bench: Bench) -> None:
    wanted = {contender.name for contender in bench.contenders}
    for _ in range(bench.scale.rounds):
        await _round(bench, "dibs", DIBS, dibs_door)
        if ARQ_TUNED.name in wanted:
            await _round(bench, STACK, ARQ_TUNED, lambda stage: rival_door("arq_api", stage))
    reached, stack = bench.figures.median("http", WHAT, "dibs"), bench.figures.median("http", WHAT, STACK)
    if reached and stack:
        bench.figures.demand(f"end to end by HTTP, against {STACK}", reached / stack, "at least", 4, "x")


async def _round(
    bench: Bench, name: str, contender: Contender, door_of: Callable[[Stage], AbstractAsyncContextManager[Door]]
) -> None:
    adds = bench.scale.http_adds
    async with bench.ground.stage(contender.appendfsync) as stage:
        async with door_of(stage) as door, running(contender.worker(stage, adds)) as worker:
            await warmed_up(stage, door, worker)
            sent = await loaded(door, adds)
            await stage.until(adds + WARM_UP, within_s=60 + adds / SLOWEST_PER_S, alive=worker.check)
            await asyncio.sleep(contender.settle_s)
        await bench.check(contender, stage, adds + WARM_UP)
        per_second = adds / (await stage.last_commit_s() - sent.first_s)
    note = f"{adds} adds, 32 connections, one api, one worker; accepted at {sent.per_second:.0f}/s in the first round"
    bench.figures.add("http", WHAT, name, "adds/s", per_second, note)
    bench.tell(f"http: {name}: {per_second:.0f} adds/s, accepted at {sent.per_second:.0f}/s")


WARM_UP = 50


async def warmed_up(stage: Stage, door: Door, worker: Running) -> None:
    """Return when the worker works: everything is imported and connected."""
    await loaded(door, WARM_UP, prefix="w")
    await stage.until(WARM_UP, within_s=60, alive=worker.check)
