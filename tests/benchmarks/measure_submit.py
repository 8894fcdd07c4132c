"""submit: the door alone, against a route that does nothing."""

from tests.benchmarks.bench import Bench
from tests.benchmarks.doors import Door, dibs_door, loaded, rival_door
from tests.benchmarks.stage import LostOrDoubled, Stage
from tests.benchmarks.surface import dibs_queue

WHAT = "POST /add/animals, nobody works"
EMPTY = "empty FastAPI route"
WARM_UP = 500


async def measure(bench: Bench) -> None:
    for _ in range(bench.scale.rounds):
        async with bench.ground.stage() as stage:
            async with dibs_door(stage) as door:
                _told(bench, "dibs", await _per_second(door, bench.scale.submit_adds))
            await _all_wait(stage, bench.scale.submit_adds + WARM_UP)
            _told(bench, EMPTY, await empty_route_per_second(bench, stage))
    reached, empty = bench.figures.median("submit", WHAT, "dibs"), bench.figures.median("submit", WHAT, EMPTY)
    if reached and empty:
        bench.figures.demand("submit alone, against an empty FastAPI route", reached / empty, "at least", 0.6, "x")


def _told(bench: Bench, name: str, per_second: float) -> None:
    note = f"{bench.scale.submit_adds} requests, 32 connections, same server, same body"
    bench.figures.add("submit", WHAT, name, "requests/s", per_second, note)
    bench.tell(f"submit: {name}: {per_second:.0f} requests/s")


async def empty_route_per_second(bench: Bench, stage: Stage) -> float:
    async with rival_door("empty_api", stage) as door:
        return await _per_second(door, bench.scale.submit_adds)


async def _per_second(door: Door, adds: int) -> float:
    await loaded(door, WARM_UP, prefix="w")
    return (await loaded(door, adds)).per_second


async def _all_wait(stage: Stage, adds: int) -> None:
    async with dibs_queue(stage) as queue:
        if (depth := await queue.depth()) != adds:
            raise LostOrDoubled(f"{adds} adds were accepted, and {depth} wait")
