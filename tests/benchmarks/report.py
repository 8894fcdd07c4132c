"""The table: on the screen, and as docs/benchmarks.md."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Demand, Figure, Figures
from tests.benchmarks.machine import describe
from tests.benchmarks.processes import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
COMMAND = "make bench"
WIDTH = 150
"""Of the table where no terminal says its own."""

MEANING = {
    "drain": "One worker process and a queue that was filled beforehand, one add at a time, by the contender's own "
    "way in. Each add has three candidates, of which the first is free. From the worker's first connection to the "
    "database to the last commit. The best rival is the fastest that has a queue.",
    "http": "Single adds over 32 keep-alive connections, with one api process and one worker process. From the first "
    "request to the last commit.",
    "submit": "Requests per second of `POST /add/animals` while no worker runs, against a route that reads the same "
    "body and does nothing, on the same server.",
    "bulk": "One `POST /bulk/animals`, from the first byte to the last commit, against the best rival's `drain`.",
    "taken": "The time of one claim, receipt included, whose first 0, 50 or 500 candidates are taken.",
    "latency": "From the sending of the request until its answer with the finished job, at 20 adds a second.",
    "idle": "What a worker costs that has nothing to do: Redis commands, those inside of scripts included, and "
    "processor time.",
    "depth": "`drain` with very many adds waiting, of which the first few thousand are measured, against few waiting.",
    "workers": "`drain` of the same queue by one worker process and by several, and the Redis commands for each add.",
    "memory": "The highest resident memory of one api and one worker, after some adds by HTTP and after very many.",
    "pruning": "Adds at a steady pace, without and beside a `dibs prune` of very many old receipts.",
    "waiting": "Callers that all wait by `Prefer: wait`, each for a job of its own, when a worker starts: from the "
    "commit of a job until its caller has the answer.",
    "bounds": "What the database, the driver and the web framework would allow, with nothing of dibs around them.",
}


def number(value: float) -> str:
    """Three figures that count, or all of a large number's."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(row: Figure) -> str:
    if len(row.rounds) == 1:
        return "1 round"
    return f"{number(min(row.rounds))} to {number(max(row.rounds))}, {len(row.rounds)} rounds"


def against(figures: Figures, row: Figure) -> str:
    """dibs against this row, where they are of the same kind."""
    ours = figures.median(row.measure, row.what, "dibs")
    if ours is None or row.contender == "dibs" or not row.median:
        return ""
    return f"{ours / row.median:.2g} x"


def show(figures: Figures, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("", "what", "who", "median", "unit", "rounds", "dibs is"):
        table.add_column(name, justify="right" if name == "median" else "left")
    for row in figures.rows:
        cells = (row.measure, row.what, row.contender, number(row.median), row.unit, spread(row))
        table.add_row(*cells, against(figures, row))
    console.print(table)
    demands = Table(box=box.SIMPLE_HEAD, title="must show", title_justify="left")
    for name in ("what", "reached", "wanted", ""):
        demands.add_column(name)
    for demand in figures.demands:
        style = "green" if demand.is_met else "red"
        demands.add_row(*_demand_cells(demand), style=style)
    console.print(demands)
    for said in figures.remarks:
        console.print(said, style="yellow", highlight=False)


def _demand_cells(demand: Demand) -> tuple[str, str, str, str]:
    wanted = f"{demand.sense} {number(demand.limit)} {demand.unit}"
    return demand.what, f"{number(demand.reached)} {demand.unit}", wanted, "yes" if demand.is_met else "no"


def write_json(figures: Figures, versions: dict[str, str], path: Path) -> None:
    content = {"machine": describe(versions), **figures.as_json()}
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def write_page(figures: Figures, versions: dict[str, str]) -> None:
    PAGE.write_text("\n".join(_page(figures, versions)) + "\n")


def _page(figures: Figures, versions: dict[str, str]) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield f"Made by `{COMMAND}`; every number is from one run on one machine. PostgreSQL and Redis are the run's own."
    yield "The tables are checked after each round: an add that dibs lost or doubled, or a rival lost, fails the run."
    yield ""
    for name, value in describe(versions).items():
        yield f"- {name}: {value}"
    yield ""
    yield "## Must show"
    yield ""
    yield from _markdown(("what", "reached", "wanted", "met"), map(_demand_cells, figures.demands))
    for measure, meaning in MEANING.items():
        rows = [row for row in figures.rows if row.measure == measure]
        if rows:
            yield from _section(figures, measure, meaning, rows)
    if figures.remarks:
        yield "## Remarks"
        yield ""
        yield from (f"- {said}" for said in figures.remarks)


def _section(figures: Figures, measure: str, meaning: str, rows: list[Figure]) -> Iterator[str]:
    yield f"## {measure}"
    yield ""
    yield meaning
    yield ""
    cells = (
        (row.what, row.contender, number(row.median), row.unit, spread(row), against(figures, row), row.note)
        for row in rows
    )
    yield from _markdown(("what", "who", "median", "unit", "rounds", "dibs is", "how"), cells)


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
