"""workers: whether several worker processes on one queue get in each other's way.

The queue is the same for each number of them. Filled by HTTP it would not be: how many adds the door groups into a
batch changes from run to run, and with it what a worker has to ask for.
"""

import contextlib

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import DIBS
from tests.benchmarks.measure_depth import BATCH, filled
from tests.benchmarks.processes import running

COUNTS = (1, 2, 4)
GROWTH = 1.05
"""What "does not grow" allows for: each worker's start and its pulse are counted too."""


def rate(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''} on one queue"


def commands(workers: int) -> str:
    return f"Redis commands for each add, {rate(workers)}"


async def measure(bench: Bench) -> None:
    if "dibs" not in {contender.name for contender in bench.contenders}:
        return
    for _ in range(bench.scale.rounds):
        for workers in COUNTS:
            await _round(bench, workers)
    one = bench.figures.median("workers", commands(1), "dibs")
    for workers in COUNTS[1:]:
        many = bench.figures.median("workers", commands(workers), "dibs")
        if one and many:
            bench.figures.demand(f"{commands(workers)}, against one", many / one, "at most", GROWTH, "x")


async def _round(bench: Bench, workers: int) -> None:
    adds = bench.scale.workers_adds
    async with bench.ground.stage() as stage:
        await filled(stage, adds)
        before = await stage.commands()
        async with contextlib.AsyncExitStack() as stack:
            first, *_ = [await stack.enter_async_context(running(DIBS.worker(stage, adds))) for _ in range(workers)]
            await stage.until(adds, within_s=600, alive=first.check)
            began_s = await stage.began_s()
        ran = await stage.commands() - before
        await stage.check(adds, receipts=True)
        per_second = adds / (await stage.last_commit_s() - began_s)
    note = f"{adds} adds; submitted in batches of {BATCH}"
    bench.figures.add("workers", rate(workers), "dibs", "adds/s", per_second, note)
    bench.figures.add("workers", commands(workers), "dibs", "commands/add", ran / adds, note)
    bench.tell(f"workers: {workers}: {per_second:.0f} adds/s, {ran / adds:.2f} commands/add")
