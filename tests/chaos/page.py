"""The tables in docs/reliability.md, each between two marks."""

from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def write_table(name: str, rows: Iterable[tuple[str, str]]) -> None:
    """Put `rows` in the place of the table `name`."""
    begin, end = f"<!-- {name}: written by `make chaos` -->", f"<!-- {name}: end -->"
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    assert found and closed, f"{PAGE} has no place for {name}"  # noqa: PT018  # it is one thing
    table = "\n".join(["| what | how much |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])
    PAGE.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}")
