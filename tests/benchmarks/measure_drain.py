"""drain: one worker process, a queue that was filled beforehand one by one."""

import asyncio

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import Contender
from tests.benchmarks.processes import running
from tests.benchmarks.stage import Stage

WHAT = "one worker drains a full queue"
SLOWEST_PER_S = 10.0


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.rounds):
        for contender in bench.contenders:
            if why := contender.missing():
                bench.figures.remark(f"{contender.name}: {why}")
                continue
            adds = max(100, int(bench.scale.drain_adds * contender.share))
            async with bench.ground.stage(contender.appendfsync) as stage:
                await contender.fill(stage, adds)
                per_second = await drained(bench, contender, stage, adds)
            bench.figures.add("drain", WHAT, contender.name, "adds/s", per_second, f"{adds} adds; {contender.settings}")
            bench.tell(f"drain: {contender.name}: {per_second:.0f} adds/s")
    reached, best = bench.figures.median("drain", WHAT, "dibs"), bench.figures.best("drain", WHAT, bench.rivals())
    if reached and best:
        bench.figures.demand(
            f"one worker draining, against {best.contender}", reached / best.median, "at least", 5, "x"
        )


async def drained(bench: Bench, contender: Contender, stage: Stage, adds: int) -> float:
    """Adds a second from the worker's first connection to the last commit; the start of the process is not counted."""
    async with running(contender.worker(stage, adds)) as worker:
        await stage.until(adds, within_s=60 + adds / SLOWEST_PER_S, alive=worker.check)
        began_s = await stage.began_s()
        await asyncio.sleep(contender.settle_s)
    # The worker has ended in order: whatever it would do twice it has done.
    await bench.check(contender, stage, adds)
    return adds / (await stage.last_commit_s() - began_s)
