"""`python -m tests.chaos [--seed N] [--adds N] [--kills N] [--json FILE] [--write]`."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import orjson
from rich.console import Console

from tests.chaos import report
from tests.chaos.run import Result, run

SEED, ADDS, KILLS = 20_26, 100_000, 200


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill everything, and lose nothing.")
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed is the same schedule")
    parser.add_argument("--adds", type=int, default=ADDS)
    parser.add_argument("--kills", type=int, default=KILLS, help="of api and worker processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all that was counted")
    parser.add_argument("--write", action="store_true", help="write the table in docs/reliability.md")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    logs = Path(tempfile.mkdtemp(prefix="dibs-chaos-"))
    console = Console(stderr=True, highlight=False)
    # Not uvloop: of a connection that is cut while it is made, its sockets tell httpx nothing that it could catch.
    with asyncio.Runner() as runner:
        result: Result = runner.run(run(given.seed, given.adds, given.kills, logs, console.print))
    report.show(result, Console(highlight=False))
    if given.json:
        given.json.write_bytes(orjson.dumps(result.as_json(), option=orjson.OPT_INDENT_2))
    if result.violations:
        for violation in result.violations[:50]:
            console.print(f"BROKEN {violation}", style="bold red", markup=False)
        console.print(f"{len(result.violations)} promises broken; the logs are in {logs}", style="bold red")
        return 1
    shutil.rmtree(logs)
    if given.write:
        report.write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
