"""What a run showed: on the screen, and as the table in docs/reliability.md."""

import statistics
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from tests.chaos.page import write_table
from tests.chaos.run import Result

TABLE = "chaos"


def rows(result: Result) -> Iterator[tuple[str, str]]:
    yield "seed", str(result.seed)
    yield "lasted", f"{result.lasted_s:,.0f} s"
    yield from ((kind, f"{number:,}") for kind, number in sorted(result.blows.items()))
    yield from ((what, f"{number:,}") for what, number in result.counted.items())
    yield from ((what, f"{number:,}") for what, number in result.calls.items())
    yield (
        "longest time in which a job waited and none ended, the servers being there",
        f"{result.longest_standstill_s:.2f} s",
    )
    yield "from a worker's SIGKILL to the end of all that it held", _spread(result.recoveries_s)
    yield "the same beside an absence, which is taken off", _spread(result.recoveries_beside_an_absence_s)
    yield "promises broken", str(len(result.violations))


def _spread(times: list[float]) -> str:
    if not times:
        return "none"
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    kills = f"{len(ordered)} kills"
    return f"p50 {statistics.median(ordered):.2f} s, p99 {p99:.2f} s, max {ordered[-1]:.2f} s ({kills})"


def show(result: Result, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("what")
    table.add_column("how much", justify="right")
    for what, value in rows(result):
        table.add_row(what, value)
    console.print(table)


def write(result: Result) -> None:
    write_table(TABLE, rows(result))
