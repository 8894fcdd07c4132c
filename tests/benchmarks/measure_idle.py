"""idle: what a worker costs that has nothing to do."""

import asyncio

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import NO_QUEUE, Contender
from tests.benchmarks.processes import running

COMMANDS, CPU = "Redis commands of an idle worker", "processor time of an idle worker"
WARM_UP = 20
SETTLE_S = 2.0


async def measure(bench: Bench) -> None:
    for contender in bench.contenders:
        if contender is NO_QUEUE:
            continue
        if why := contender.missing():
            bench.figures.remark(f"{contender.name}: {why}")
            continue
        await _one(bench, contender)
    for what, most, unit in ((COMMANDS, 5, "commands/s"), (CPU, 1, "% of a core")):
        if (reached := bench.figures.median("idle", what, "dibs")) is not None:
            bench.figures.demand(what, reached, "at most", most, unit)


async def _one(bench: Bench, contender: Contender) -> None:
    """Once: the seconds are many rounds in themselves."""
    idle_s = bench.scale.idle_s
    async with bench.ground.stage(contender.appendfsync) as stage:
        await contender.fill(stage, WARM_UP)
        async with running(contender.worker(stage, WARM_UP)) as worker:
            await stage.until(WARM_UP, within_s=60, alive=worker.check)
            await asyncio.sleep(SETTLE_S)
            commands, cpu_s = await stage.commands(), worker.cpu_s()
            await asyncio.sleep(idle_s)
            # One of them is the question itself.
            commands, cpu_s = await stage.commands() - commands - 1, worker.cpu_s() - cpu_s
        await bench.check(contender, stage, WARM_UP)
    note = f"over {idle_s:g} s, after {WARM_UP} adds; {contender.settings}"
    bench.figures.add("idle", COMMANDS, contender.name, "commands/s", commands / idle_s, note)
    bench.figures.add("idle", CPU, contender.name, "% of a core", 100 * cpu_s / idle_s, note)
    bench.tell(f"idle: {contender.name}: {commands / idle_s:.1f} commands/s, {100 * cpu_s / idle_s:.2f} % of a core")
