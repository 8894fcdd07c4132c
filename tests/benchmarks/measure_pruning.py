"""pruning: what adds feel while old receipts are removed in their midst."""

import asyncio
from statistics import median, quantiles

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import DIBS
from tests.benchmarks.doors import Door, dibs_door, loaded
from tests.benchmarks.measure_http import WARM_UP, warmed_up
from tests.benchmarks.processes import Command, result_of, running
from tests.benchmarks.stage import LostOrDoubled, Stage
from tests.benchmarks.surface import dibs_environment

PER_SECOND = 50.0
WAIT_S = 5.0
OLD_DAYS = 100

FILL = f"""
INSERT INTO receipts (id, collection, status, fingerprint, content, result, choice, tries, submitted_at, finished_at)
SELECT gen_random_uuid(), 'old', 'succeeded', repeat('0', 64), '{{"candidates":[{{"name":"Max"}}],"values":{{}}}}',
       '{{"id":1,"name":"Max"}}', 0, 1, at, at
FROM (SELECT now() - interval '{OLD_DAYS} days' - n * interval '1 second' AS at FROM generate_series(1, $1::int) n) o
"""


async def measure(bench: Bench) -> None:
    if "dibs" not in {contender.name for contender in bench.contenders}:
        return
    for _ in range(bench.scale.rounds):
        await _round(bench)
    quiet = bench.figures.median("pruning", _p99("without"), "dibs")
    beside = bench.figures.median("pruning", _p99("beside"), "dibs")
    if quiet and beside:
        bench.figures.demand("99th percentile of an add beside the pruning", beside, "at most", 50, "ms")


def _p99(when: str) -> str:
    return f"submit to done {when} pruning, 99th percentile"


async def _round(bench: Bench) -> None:
    old = bench.scale.old_receipts
    async with bench.ground.stage(DIBS.appendfsync) as stage:
        await stage.sql.execute(FILL, old)
        await stage.sql.execute("VACUUM ANALYZE receipts")
        async with dibs_door(stage) as door, running(DIBS.worker(stage, 0)) as worker:
            await warmed_up(stage, door, worker)
            quiet = (await loaded(door, bench.scale.latency_adds, per_second=PER_SECOND, wait_s=WAIT_S)).latencies_ms
            pruned = asyncio.create_task(result_of(_prune(stage)))
            beside: list[float] = []
            while not pruned.done():
                beside += await _some(door, bench.scale.latency_adds, len(beside))
            told = await pruned
        left = await stage.sql.fetchval("SELECT count(*) FROM receipts WHERE collection = 'old'")
        if (told["removed"], left) != (old, 0):
            raise LostOrDoubled(f"{told['removed']} of {old} receipts were pruned, {left} are left")
        await stage.check(WARM_UP + len(quiet) + len(beside), receipts=True)
    _note(bench, "without", quiet, f"{PER_SECOND:g} adds a second, Prefer: wait={WAIT_S:g}")
    _note(bench, "beside", beside, f"{old} receipts in {told['seconds']:g} s, steps of 5000")
    bench.figures.add("pruning", "receipts removed", "dibs", "receipts/s", old / told["seconds"], "dibs prune")


def _note(bench: Bench, when: str, latencies_ms: list[float], note: str) -> None:
    p99_ms = quantiles(latencies_ms, n=100)[98]
    bench.figures.add("pruning", f"submit to done {when} pruning, median", "dibs", "ms", median(latencies_ms), note)
    bench.figures.add("pruning", _p99(when), "dibs", "ms", p99_ms, note)
    bench.tell(f"pruning: {when}: median {median(latencies_ms):.1f} ms, p99 {p99_ms:.1f} ms ({len(latencies_ms)} adds)")


async def _some(door: Door, adds: int, so_far: int) -> list[float]:
    sent = await loaded(door, adds, prefix=f"b{so_far}x", per_second=PER_SECOND, wait_s=WAIT_S)
    return sent.latencies_ms


def _prune(stage: Stage) -> Command:
    arguments = ("-m", "dibs", "prune", "--older-than", f"{OLD_DAYS - 1}d", "--collection", "old", "--json")
    return Command.python(*arguments, environment=dibs_environment(stage))
