"""`python -m tests.chaos.overload [--seconds N] [--times N] [--limit N] [--write]`: more than dibs can bear.

First it is measured what one api and one worker can bear, then twice as much comes. What is refused is told so; what
was accepted is done, all of it, and neither its time nor anybody's memory grows with the time that it lasts.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from rich.console import Console

from shared.queue import Queue
from shared.redis import open_redis
from tests.benchmarks.processes import Command, result_of
from tests.benchmarks.servers import plain
from tests.chaos.page import write_table
from tests.chaos.processes import Slot, kept
from tests.chaos.servers import durable_servers
from tests.waiting import until

TABLE = "overload"
MEASURE_ADDS = 6000
CONNECTIONS = 64
LIMIT = 5000
"""Jobs that may wait. What may wait is done within this many jobs' time: it is what bounds the accepted's time."""
DONE_S = 120.0

TIMES = "SELECT extract(epoch FROM finished_at - submitted_at)::float8 FROM receipts WHERE fingerprint <> '' "


@dataclass(frozen=True)
class Load:
    """What an overload showed."""

    seconds: float
    bearable_per_s: float
    offered_per_s: float
    limit: int
    answers: dict[str, int]
    accepted: int
    done: int
    answered_ms: list[float]
    done_s: list[float]
    api_mb: tuple[float, float]
    worker_mb: tuple[float, float]
    """Resident memory in the middle, and the highest of all."""

    @property
    def lost(self) -> int:
        return max(0, self.accepted - self.done)

    def rows(self) -> list[tuple[str, str]]:
        refused = {status: number for status, number in sorted(self.answers.items()) if status != "202"}
        return [
            ("lasted", f"{self.seconds:.0f} s"),
            ("bearable, by 64 callers who wait for their answers", f"{self.bearable_per_s:,.0f} adds/s"),
            ("offered, whether anybody answers or not", f"{self.offered_per_s:,.0f} adds/s"),
            ("jobs that may wait", f"{self.limit:,}"),
            ("accepted", f"{self.accepted:,} ({self.accepted / self.seconds:,.0f} a second)"),
            *((f"answered otherwise: {status}", f"{number:,}") for status, number in refused.items()),
            ("accepted and not done in the end", str(self.lost)),
            ("from the request to its 202", _spread(self.answered_ms, "ms")),
            ("from the submit to the end of the job", _spread(self.done_s, "s")),
            ("memory of the api, in the middle and the highest", "{:.0f} and {:.0f} MB".format(*self.api_mb)),
            ("memory of the worker, in the middle and the highest", "{:.0f} and {:.0f} MB".format(*self.worker_mb)),
        ]


def _spread(times: list[float], unit: str) -> str:
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered):,.3g} {unit}, p99 {p99:,.3g} {unit}, max {ordered[-1]:,.3g} {unit}"


async def overload(seconds: float, times: float, limit: int, logs: Path, measure_adds: int = MEASURE_ADDS) -> Load:
    async with durable_servers() as (postgres, redis):
        client = open_redis(redis.url())
        queue = Queue(client, "dibs", limit=limit)
        environment = {
            "DIBS_DATABASE_URL": postgres.url(),
            "DIBS_REDIS_URL": redis.url(),
            "DIBS_QUEUE_LIMIT": str(limit),
        }
        api, worker = Slot("api", 0, environment, logs), Slot("worker", 0, environment, logs)
        async with kept([api, worker]):
            bearable_per_s = await _bearable_per_s(api, queue, measure_adds)
            before = await _receipts(postgres.url())
            flood = asyncio.create_task(
                result_of(
                    Command.python(
                        "-m", "tests.chaos.flood", str(api.port),
                        "--per-second", str(bearable_per_s * times), "--seconds", str(seconds),
                        environment={},
                    )
                )
            )  # fmt: skip
            await asyncio.sleep(seconds / 2)
            middle = [_memory_mb(slot.pid, "VmRSS") for slot in (api, worker)]
            answer = await flood
            await _drained(queue)
            highest = [_memory_mb(slot.pid, "VmHWM") for slot in (api, worker)]
            times_s = await _receipts(postgres.url())
            await asyncio.gather(api.end(), worker.end())
        await client.aclose(close_connection_pool=True)
    return Load(
        seconds, bearable_per_s, bearable_per_s * times, limit, answer["statuses"], len(answer["accepted_ms"]),
        len(times_s) - len(before), answer["accepted_ms"], times_s[len(before) :],
        (middle[0], highest[0]), (middle[1], highest[1]),
    )  # fmt: skip


async def _bearable_per_s(api: Slot, queue: Queue, adds: int) -> float:
    """Adds per second, from the first request to the last receipt, by callers who wait for their 202."""
    begun = time.monotonic()
    load = ["-m", "tests.benchmarks.load", str(api.port), "--adds", str(adds), "--connections", str(CONNECTIONS)]
    answer = await result_of(Command.python(*load, environment={}))
    await _drained(queue)
    lasted_s = time.monotonic() - begun
    sent_s: float = answer["last_s"] - answer["first_s"]
    accepted: int = answer["statuses"].get("202", 0)
    # Without the time that the load generator takes to start.
    return accepted / max(sent_s, min(lasted_s, sent_s * 2))


async def _drained(queue: Queue) -> None:
    async def is_empty() -> bool:
        return not await queue.depth()

    await until(is_empty, patience_s=DONE_S)


async def _receipts(url: str) -> list[float]:
    """How long each job took, in the order of the ends."""
    sql = await asyncpg.connect(plain(url))
    try:
        return [record[0] for record in await sql.fetch(TIMES + "ORDER BY finished_at")]
    finally:
        await sql.close()


def _memory_mb(pid: int, what: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.overload")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--times", type=float, default=2)
    parser.add_argument("--limit", type=int, default=LIMIT)
    parser.add_argument("--write", action="store_true", help="write the table in docs/reliability.md")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dibs-overload-") as logs,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        load: Any = runner.run(overload(given.seconds, given.times, given.limit, Path(logs)))
    console = Console(highlight=False)
    for what, value in load.rows():
        console.print(f"{what}: {value}")
    if given.write:
        write_table(TABLE, load.rows())
    return int(load.lost > 0)


if __name__ == "__main__":
    sys.exit(main())
