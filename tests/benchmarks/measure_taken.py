"""taken: what candidates that are taken cost a claim."""

import time
from statistics import median

from shared.contract import Status
from shared.database import Database, open_database
from shared.registry import load_collections
from tests.benchmarks.bench import Bench
from tests.benchmarks.processes import Broken
from tests.build import make_job
from worker.batch import end_jobs

ANIMALS = load_collections(())["animals"]
AHEAD = (0, 50, 500)
MOST = {50: 1.3, 500: 3.0}
WARM_UP = 20


def what(taken: int) -> str:
    return f"a claim with {taken} taken candidates ahead"


async def measure(bench: Bench) -> None:
    if "dibs" not in {contender.name for contender in bench.contenders}:
        return
    for number in range(bench.scale.rounds):
        async with bench.ground.stage() as stage:
            names = [(f"taken-{place:03d}",) for place in range(max(AHEAD))]
            await stage.sql.executemany("INSERT INTO animals (name) VALUES ($1)", names)
            await stage.sql.execute("ANALYZE animals")
            database = open_database(stage.database_url)
            try:
                await _round(bench, database, number)
            finally:
                await database.close()
    free = bench.figures.median("taken", what(0), "dibs")
    for taken, most in MOST.items():
        reached = bench.figures.median("taken", what(taken), "dibs")
        if free and reached:
            bench.figures.demand(f"a claim with {taken} taken, against none", reached / free, "at most", most, "x")


async def _round(bench: Bench, database: Database, number: int) -> None:
    times: dict[int, list[float]] = {taken: [] for taken in AHEAD}
    for claim in range(bench.scale.claims + WARM_UP):
        for taken in AHEAD:
            took_ms = await _claim_ms(database, taken, f"free-{number}-{claim}-{taken}")
            if claim >= WARM_UP:
                times[taken].append(took_ms)
    for taken in AHEAD:
        note = f"one job, receipt included; {bench.scale.claims} claims in each round, in turn with the others"
        bench.figures.add("taken", what(taken), "dibs", "ms", median(times[taken]), note)
        bench.tell(f"taken: {taken} ahead: {median(times[taken]):.2f} ms")


async def _claim_ms(database: Database, taken: int, free: str) -> float:
    job = make_job(ANIMALS, [f"taken-{place:03d}" for place in range(taken)] + [free])
    start = time.perf_counter()
    receipts = await end_jobs(database.writes, ANIMALS, [job], tries=1, fresh=True, at_once=database.at_once)
    took_ms = (time.perf_counter() - start) * 1000
    receipt = receipts[job.id]
    if receipt.status is not Status.SUCCEEDED or receipt.choice != taken:
        raise Broken(f"{taken} candidates were taken, and the receipt is {receipt}")
    return took_ms
