"""memory: whether an api or a worker grows with what it has done."""

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import DIBS
from tests.benchmarks.doors import dibs_door, loaded
from tests.benchmarks.processes import Running, running

SLOWEST_PER_S = 100.0
MOST = 1.1


def what(part: str, adds: int) -> str:
    return f"peak memory of the {part} over {adds:,} adds"


async def measure(bench: Bench) -> None:
    """Once, in one pair of processes: their peak after some adds, and after many more."""
    if "dibs" not in {contender.name for contender in bench.contenders}:
        return
    some, many = bench.scale.memory_adds, bench.scale.memory_more_adds
    async with bench.ground.stage() as stage:
        async with dibs_door(stage) as door, running(DIBS.worker(stage, some)) as worker:
            parts = {"api": door.process, "worker": worker}
            await loaded(door, some)
            await stage.until(some, within_s=60 + some / SLOWEST_PER_S, alive=worker.check)
            _note(bench, parts, some)
            await loaded(door, many - some, prefix="b")
            await stage.until(many, within_s=60 + many / SLOWEST_PER_S, alive=worker.check)
            _note(bench, parts, many)
        await stage.check(many, receipts=True)
    for part in parts:
        before, after = (bench.figures.median("memory", what(part, adds), "dibs") for adds in (some, many))
        if before and after:
            said = f"peak memory of the {part}, {many:,} adds against {some:,}"
            bench.figures.demand(said, after / before, "at most", MOST, "x")


def _note(bench: Bench, parts: dict[str, Running], adds: int) -> None:
    for part, process in parts.items():
        peak_mb = process.peak_rss_mb()
        bench.figures.add("memory", what(part, adds), "dibs", "MiB", peak_mb, "by HTTP, 32 connections, one worker")
        bench.tell(f"memory: {part} after {adds:,} adds: {peak_mb:.1f} MiB")
