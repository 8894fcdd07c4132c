"""latency: from submit to done by HTTP, on a system that has nothing else to do."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from statistics import median, quantiles

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import ARQ, ARQ_TUNED, DIBS, Contender
from tests.benchmarks.doors import Door, dibs_door, loaded, rival_door
from tests.benchmarks.measure_http import WARM_UP, warmed_up
from tests.benchmarks.processes import running
from tests.benchmarks.stage import Stage

PER_SECOND = 20.0
WAIT_S = 5.0

MEDIAN, P99 = "submit to done, median", "submit to done, 99th percentile"


async def measure(bench: Bench) -> None:
    wanted = {contender.name for contender in bench.contenders}
    for _ in range(bench.scale.rounds):
        for contender in (DIBS, ARQ, ARQ_TUNED):
            if contender.name in wanted:
                await _round(bench, contender, dibs_door if contender is DIBS else arq_door)
    for what, most_ms in ((MEDIAN, 5), (P99, 30)):
        if reached := bench.figures.median("latency", what, "dibs"):
            bench.figures.demand(what, reached, "at most", most_ms, "ms")


def arq_door(stage: Stage) -> AbstractAsyncContextManager[Door]:
    return rival_door("arq_api", stage)


async def _round(
    bench: Bench, contender: Contender, door_of: Callable[[Stage], AbstractAsyncContextManager[Door]]
) -> None:
    adds = bench.scale.latency_adds
    async with bench.ground.stage(contender.appendfsync) as stage:
        async with door_of(stage) as door, running(contender.worker(stage, adds)) as worker:
            await warmed_up(stage, door, worker)
            latencies_ms = (await loaded(door, adds, per_second=PER_SECOND, wait_s=WAIT_S)).latencies_ms
        await bench.check(contender, stage, adds + WARM_UP)
    note = f"{adds} adds in each round, {PER_SECOND:g} a second, Prefer: wait={WAIT_S:g}"
    if contender is not DIBS:
        note += "; the api looks for the result every 5 ms"
    p99_ms = quantiles(latencies_ms, n=100)[98]
    bench.figures.add("latency", MEDIAN, contender.name, "ms", median(latencies_ms), note)
    bench.figures.add("latency", P99, contender.name, "ms", p99_ms, note)
    bench.tell(f"latency: {contender.name}: median {median(latencies_ms):.1f} ms, p99 {p99_ms:.1f} ms")
