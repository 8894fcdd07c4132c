"""One run: the servers, the processes, the callers, the blows, and the quiet after them."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.queue import Queue
from shared.redis import open_redis
from tests.chaos.blows import Blows, Death
from tests.chaos.callers import Caller, Turnstile, wanted_names
from tests.chaos.ledger import Ledger, Violation
from tests.chaos.oracle import examine
from tests.chaos.processes import Slot, kept
from tests.chaos.schedule import APIS, LEASE_S, WORKERS, Blow, make_schedule
from tests.chaos.servers import durable_servers
from tests.waiting import until

CALLERS = 24
QUIET_S = 60.0
BEHIND_S = 20.0
RECOVERY_S = 5.0
"""The promise: so long after a worker's death at most, its jobs have ended."""
AFTERMATH_S = 2.0
"""So long after the return of a server work goes on at the latest."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    seed: int
    adds: int
    kills: int
    lasted_s: float
    blows: dict[str, int]
    counted: dict[str, int]
    calls: dict[str, int]
    recoveries_s: list[float]
    recoveries_beside_an_absence_s: list[float]
    longest_standstill_s: float
    violations: list[Violation]

    def as_json(self) -> dict[str, Any]:
        blows = {str(kind): number for kind, number in self.blows.items()}
        return {**vars(self), "blows": blows, "violations": [str(violation) for violation in self.violations]}


async def run(seed: int, adds: int, kills: int, logs: Path, say: Say) -> Result:
    """Let `kills` processes die under `adds` adds; raises nothing for a broken promise, but tells of it."""
    schedule, ledger = make_schedule(seed, kills), Ledger()
    async with durable_servers() as (postgres, redis):
        client = open_redis(redis.url())
        queue = Queue(client, "dibs", limit=1_000_000)
        environment = {"DIBS_DATABASE_URL": postgres.url(), "DIBS_REDIS_URL": redis.url(), "DIBS_LEASE_S": str(LEASE_S)}
        apis = [Slot("api", number, environment, logs) for number in range(APIS)]
        workers = [Slot("worker", number, environment, logs) for number in range(WORKERS)]
        turnstile = Turnstile(adds)
        blows = Blows(apis, workers, postgres, redis, queue, lambda: wanted_names(turnstile.issued))
        callers = [Caller(n, seed, [api.url for api in apis], ledger, turnstile) for n in range(CALLERS)]
        async with kept([*apis, *workers]):
            begun = time.time()
            calling = asyncio.gather(*(caller.call() for caller in callers))
            await _strike_all(schedule, blows, turnstile, calling, say)
            await calling
            await blows.over()
            lasted_s = time.time() - begun
            await _quiet(ledger, queue)
            await asyncio.gather(*(slot.end() for slot in (*apis, *workers)))
        for slot in (*apis, *workers):
            _nobody_died_by_itself(ledger, slot)
        await asyncio.sleep(LEASE_S + 0.5)  # the last signs of life run out
        counted, lives = await examine(ledger, postgres.url(), queue)
        ended_at = {job: ended for job, (_, ended) in lives.items()}
        recoveries, recoveries_beside = _recoveries(blows, ended_at)
        for seconds in (*recoveries, *recoveries_beside):
            if seconds > RECOVERY_S:
                ledger.violated("a dead worker's jobs end within 5 s", "of a killed worker", f"{seconds:.2f} s")
        await client.aclose(close_connection_pool=True)
    return Result(
        seed, adds, kills, lasted_s, dict(blows.counts), counted, dict(sorted(ledger.counts.items())), recoveries,
        recoveries_beside, _longest_standstill_s(list(lives.values()), blows), ledger.violations,
    )  # fmt: skip


async def _strike_all(
    schedule: list[Blow], blows: Blows, turnstile: Turnstile, calling: "asyncio.Future[Any]", say: Say
) -> None:
    for number, blow in enumerate(schedule, 1):
        await asyncio.sleep(blow.pause_s)
        with contextlib.suppress(TimeoutError):
            await until(lambda: _has_caught_up(turnstile, calling), patience_s=BEHIND_S)
        if calling.done():
            return
        say(f"{number}/{len(schedule)} {blow.kind} {blow.target}, {turnstile.issued} adds so far")
        # Into the middle of the work.
        await turnstile.allow(number / len(schedule))
        await blows.strike(blow)


async def _has_caught_up(turnstile: Turnstile, calling: "asyncio.Future[Any]") -> bool:
    return calling.done() or not turnstile.is_behind


async def _quiet(ledger: Ledger, queue: Queue) -> None:
    async def is_quiet() -> bool:
        return not await queue.depth() and not await queue.redis.zcard(queue.batches)

    try:
        await until(is_quiet, patience_s=QUIET_S)
    except TimeoutError:
        ledger.violated(
            "the queue gets empty", "", f"{await queue.depth()} jobs wait {QUIET_S:g} s after the last blow"
        )


def _nobody_died_by_itself(ledger: Ledger, slot: Slot) -> None:
    for code in slot.unasked:
        ledger.violated("a process does not die of what happens to others", slot.name, f"it ended with {code}")
    told = slot.log.read_text()
    if "Traceback" in told:
        ledger.violated("nothing unexpected is met", slot.name, told[told.index("Traceback") :][:2000])


def _recoveries(blows: Blows, ended_at: dict[Any, float]) -> tuple[list[float], list[float]]:
    """From each worker's death to the end of the last job that it held, in seconds.

    A batch that a second worker had taken up when that was hit too was taken up in time, if that was in time. Where
    a server was away meanwhile its absence is taken off, and the time stands in the second list.
    """
    hits = sorted((*blows.deaths, *blows.stops), key=lambda hit: hit.at)
    plain: list[float] = []
    reduced: list[float] = []
    for death in blows.deaths:
        if not death.held:
            continue
        end = max(_ended(death, batch, hits, ended_at) for batch in death.held)
        away_s = sum(_overlap_s((death.at, end), (since, back + AFTERMATH_S)) for since, back in blows.away)
        (reduced if away_s else plain).append(max(0.0, end - death.at - away_s))
    return plain, reduced


def _overlap_s(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _ended(death: Death, batch: str, hits: list[Death], ended_at: dict[Any, float]) -> float:
    last = max((ended_at.get(job, float("inf")) for job in death.held[batch]), default=death.at)
    again = min((hit.at for hit in hits if hit.at > death.at and batch in hit.held), default=float("inf"))
    return min(last, again)


def _longest_standstill_s(lives: list[tuple[float, float]], blows: Blows) -> float:
    """The longest time in which a job waited and none ended; what a server's absence takes is no standstill of ours."""
    longest, waiting_since = 0.0, float("inf")
    by_end = sorted(lives, key=lambda life: life[1], reverse=True)
    for (submitted, after), (_, before) in itertools.pairwise(by_end):
        waiting_since = min(waiting_since, submitted)
        since = max(before, waiting_since)
        away_s = sum(_overlap_s((since, after), absence) for absence in blows.away)
        longest = max(longest, after - since - away_s)
    return longest
