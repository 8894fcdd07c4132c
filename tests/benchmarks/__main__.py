"""`python -m tests.benchmarks [NAME…] [--only WHO] [--json FILE] [--write] [--quick]`."""

import argparse
import asyncio
import dataclasses
import importlib
import sys
from pathlib import Path

import uvloop
from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.bench import FULL, QUICK, Bench
from tests.benchmarks.contenders import ALL, Contender
from tests.benchmarks.figures import Figures
from tests.benchmarks.processes import Broken
from tests.benchmarks.servers import ground
from tests.benchmarks.stage import LostOrDoubled, TooSlow

MEASURES = (
    "drain", "http", "submit", "bulk", "taken", "latency", "idle", "depth", "workers", "memory", "pruning", "bounds",
    "waiting",
)  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure dibs and its rivals.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all of them, or some of: {', '.join(MEASURES)}")
    parser.add_argument("--only", action="append", metavar="WHO", help="leave out all other contenders")
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the raw numbers")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--quick", action="store_true", help="everything small: to see that it works, not how fast")
    given = parser.parse_args()
    if unknown := set(given.names) - set(MEASURES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if unknown := set(given.only or ()) - {contender.name for contender in ALL}:
        parser.error(f"nobody is called {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in ALL)}")
    return given


async def run(given: argparse.Namespace, figures: Figures, console: Console) -> dict[str, str]:
    """Measure, and return the versions of the servers."""
    scale = QUICK if given.quick else FULL
    scale = dataclasses.replace(scale, rounds=given.rounds or scale.rounds)
    contenders: list[Contender] = [c for c in ALL if not given.only or c.name in given.only]
    async with ground() as started:
        bench = Bench(started, scale, figures, console, contenders)
        for name in MEASURES:
            if not given.names or name in given.names:
                await importlib.import_module(f"tests.benchmarks.measure_{name}").measure(bench)
        return started.versions


def main() -> int:
    given = arguments()
    console, figures = Console(stderr=True), Figures()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            versions = runner.run(run(given, figures, console))
        except (LostOrDoubled, TooSlow, Broken) as error:
            console.print(f"FAILED: {type(error).__name__}: {error}", style="bold red", highlight=False)
            return 1
    out = Console()
    report.show(figures, out if out.is_terminal else Console(width=report.WIDTH))
    if given.json:
        report.write_json(figures, versions, given.json)
    if given.write:
        report.write_page(figures, versions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
