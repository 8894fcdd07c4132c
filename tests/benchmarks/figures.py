"""What was measured, and what must be shown."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal


@dataclass
class Figure:
    """One row of the table: a number for each round."""

    measure: str
    what: str
    contender: str
    unit: str
    rounds: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.rounds)


@dataclass(frozen=True)
class Demand:
    """One row of "must show": what was reached, and the least or the most that will do."""

    what: str
    reached: float
    sense: Literal["at least", "at most"]
    limit: float
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        return self.reached >= self.limit if self.sense == "at least" else self.reached <= self.limit


class Figures:
    def __init__(self) -> None:
        self.rows: list[Figure] = []
        self.demands: list[Demand] = []
        self.remarks: list[str] = []

    def add(self, measure: str, what: str, contender: str, unit: str, value: float, note: str = "") -> None:
        """One round of one row."""
        row = self.row(measure, what, contender)
        if row is None:
            row = Figure(measure, what, contender, unit, note=note)
            self.rows.append(row)
        row.rounds.append(value)

    def row(self, measure: str, what: str, contender: str) -> Figure | None:
        return next((r for r in self.rows if (r.measure, r.what, r.contender) == (measure, what, contender)), None)

    def median(self, measure: str, what: str, contender: str) -> float | None:
        row = self.row(measure, what, contender)
        return row.median if row else None

    def best(self, measure: str, what: str, contenders: Iterable[str]) -> Figure | None:
        """The highest median among `contenders`."""
        rows = [row for name in contenders if (row := self.row(measure, what, name))]
        return max(rows, key=lambda row: row.median, default=None)

    def demand(self, what: str, reached: float, sense: Literal["at least", "at most"], limit: float, unit: str) -> None:
        self.demands.append(Demand(what, reached, sense, limit, unit))

    def remark(self, said: str) -> None:
        """What whoever reads the numbers should know: what was left out, and what went wrong for a rival."""
        if said not in self.remarks:
            self.remarks.append(said)

    def as_json(self) -> dict[str, Any]:
        return {
            "figures": [asdict(row) | {"median": row.median} for row in self.rows],
            "demands": [asdict(demand) | {"is_met": demand.is_met} for demand in self.demands],
            "remarks": self.remarks,
        }
