"""waiting: callers that all wait at once, each for its own job, and are answered when it is committed."""

import asyncio
from statistics import median, quantiles
from typing import Any

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import DIBS
from tests.benchmarks.doors import Door, dibs_door
from tests.benchmarks.processes import Broken, Command, result_of, running
from tests.benchmarks.stage import Stage

WAIT_S = 30
ALL_IN_S = 2.0
IDLE_S = 3.0

COMMITS = "SELECT id::text, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM receipts"

MEDIAN, P99, SLOWEST = (f"commit to answer, {what}" for what in ("median", "99th percentile", "slowest"))
CPU, CONNECTIONS = "CPU of the api while all wait", "connections of the api to Redis"
MOST_CONNECTIONS = 5


async def measure(bench: Bench) -> None:
    if DIBS.name not in {contender.name for contender in bench.contenders}:
        return
    for _ in range(bench.scale.rounds):
        await _round(bench, bench.scale.waiting_callers)
    for what, most, unit in ((P99, 100, "ms"), (CONNECTIONS, MOST_CONNECTIONS, "")):
        reached = bench.figures.median("waiting", what, "dibs")
        if reached is not None:
            bench.figures.demand(f"{bench.scale.waiting_callers} callers: {what}", reached, "at most", most, unit)


async def _round(bench: Bench, callers: int) -> None:
    async with bench.ground.stage(DIBS.appendfsync) as stage, dibs_door(stage) as door:
        arguments = ("-m", "tests.benchmarks.waiting_load", str(door.port), f"--callers={callers}", f"--wait={WAIT_S}")
        waiting = asyncio.create_task(result_of(Command.python(*arguments, environment={})))
        cpu_ms_per_s = await _while_all_wait(stage, door, callers, waiting)
        connections = await _connections(stage)
        async with running(DIBS.worker(stage, callers)):
            answered: dict[str, float] = await waiting
            commits = {job: float(at) for job, at in await stage.sql.fetch(COMMITS)}
    if len(answered) != callers or set(answered) != set(commits):
        raise Broken(f"{callers} callers had {len(answered)} answers of {len(commits)} receipts")
    took_ms = sorted((answered[job] - commits[job]) * 1000 for job in answered)
    note = f"{callers} callers on {callers} jobs, all in the queue when the worker starts"
    for what, value, unit in (
        (MEDIAN, median(took_ms), "ms"),
        (P99, quantiles(took_ms, n=100)[98], "ms"),
        (SLOWEST, took_ms[-1], "ms"),
        (CPU, cpu_ms_per_s, "ms/s"),
        (CONNECTIONS, connections, ""),
    ):
        bench.figures.add("waiting", what, "dibs", unit, value, note)
        bench.tell(f"waiting: {what}: {value:.1f} {unit}")


async def _while_all_wait(stage: Stage, door: Door, callers: int, waiting: "asyncio.Task[Any]") -> float:
    """What the api does while nothing happens, in ms of CPU for each second."""
    while await stage.redis.zcard("dibs:waiting") < callers and not waiting.done():  # noqa: ASYNC110  # others fill it
        await asyncio.sleep(0.05)
    await asyncio.sleep(ALL_IN_S)
    if waiting.done():
        await waiting
    began_s = door.process.cpu_s()
    await asyncio.sleep(IDLE_S)
    return (door.process.cpu_s() - began_s) / IDLE_S * 1000


async def _connections(stage: Stage) -> int:
    """Connections to Redis beside the stage's own."""
    info: dict[str, Any] = await stage.redis.info("clients")
    return int(info["connected_clients"]) - 1
