"""What a run showed: on the screen, and as the table in docs/reliability.md."""

import statistics
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tests.chaos.run import Result

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos: written by `make chaos` -->", "<!-- chaos: end -->"


def rows(result: Result) -> Iterator[tuple[str, str]]:
    yield "seed", str(result.seed)
    yield "lasted", f"{result.lasted_s:,.0f} s"
    yield from ((kind, f"{number:,}") for kind, number in sorted(result.blows.items()))
    yield from ((what, f"{number:,}") for what, number in result.counted.items())
    yield from ((what, f"{number:,}") for what, number in result.calls.items())
    yield "longest time in which no job ended, servers being there", f"{result.longest_standstill_s:.2f} s"
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
    """Put the table between the two marks of the page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(["| what | how much |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows(result))])
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
