"""depth: whether a worker is slowed down by what waits behind its work."""

import asyncio
from itertools import islice

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import DIBS
from tests.benchmarks.load import add_names
from tests.benchmarks.measure_taken import ANIMALS
from tests.benchmarks.processes import running
from tests.benchmarks.servers import DurableRedis
from tests.benchmarks.stage import LostOrDoubled, Stage
from tests.benchmarks.surface import dibs_queue
from tests.build import make_job

BATCH = 10
FILLERS = 8


def what(adds: int) -> str:
    return f"draining, {adds:,} adds waiting"


async def measure(bench: Bench) -> None:
    if "dibs" not in {contender.name for contender in bench.contenders}:
        return
    few, many = bench.scale.depth_adds, bench.scale.deep_adds
    with DurableRedis("always") as deep:
        async with bench.ground.stage_on(deep) as stage:
            await filled(stage, many)
        for _ in range(bench.scale.rounds):
            async with bench.ground.stage() as stage:
                await filled(stage, few)
                await _round(bench, stage, few)
            async with bench.ground.stage_on(deep) as stage:
                await _round(bench, stage, many)
    shallow, reached = (bench.figures.median("depth", what(adds), "dibs") for adds in (few, many))
    if shallow and reached:
        said = f"draining with {many:,} waiting, against {few:,}"
        bench.figures.demand(said, reached / shallow, "at least", 0.9, "x")


async def filled(stage: Stage, adds: int) -> None:
    """By the door's own call and not by HTTP, in small batches: a million would take too long one by one."""
    names = add_names(adds, "a")
    async with dibs_queue(stage) as queue:

        async def submit_next() -> None:
            while batch := [name.decode() for name in islice(names, BATCH)]:
                jobs = [make_job(ANIMALS, [f"{name}-{choice}" for choice in range(3)]) for name in batch]
                await queue.submit(ANIMALS.name, jobs)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(FILLERS):
                tasks.create_task(submit_next())
        if (depth := await queue.depth()) != adds:
            raise LostOrDoubled(f"{adds} adds were submitted, and {depth} wait")


async def _round(bench: Bench, stage: Stage, waiting: int) -> None:
    adds = bench.scale.depth_adds
    async with dibs_queue(stage) as queue:
        before = await queue.depth()
        async with running(DIBS.worker(stage, adds)) as worker:
            await stage.until(adds, within_s=600, alive=worker.check)
            began_s = await stage.began_s()
        done, left = await stage.rows(), await queue.depth()
    await stage.check(done, receipts=True)
    if before - done != left:
        raise LostOrDoubled(f"of {before} adds {done} were done, and {left} wait")
    per_second = adds / (await stage.last_commit_s(first_rows=adds) - began_s)
    note = f"the first {adds:,} commits; submitted in batches of {BATCH}"
    bench.figures.add("depth", what(waiting), "dibs", "adds/s", per_second, note)
    bench.tell(f"depth: {before:,} waiting: {per_second:.0f} adds/s")
