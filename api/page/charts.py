"""The last hour as two drawings: what ended in each minute, and how long it took.

Only numbers are made here; `templates/charts.html` draws them as SVG, a unit of its width for each minute and 100
for its height. Drawn by hand, because the libraries put their styles into the drawing, which the page's content
security policy forbids, or need a script to draw at all: docs/decisions/0014.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.page import words
from api.stats import MinuteStats
from shared.contract import Status

HEIGHT = 100
STACKED = (Status.SUCCEEDED, Status.EXHAUSTED, Status.CANCELLED, Status.FAILED)
"""From the bottom; what went wrong is on top, where it meets the eye."""

STEPS = (1, 2, 5)

_HALF = 0.5
_DOT = 0.01
"""A line of next to no length: with round ends it is a dot."""


@dataclass(frozen=True)
class Bar:
    status: Status
    y: float
    height: float


@dataclass(frozen=True)
class Column:
    """One minute: its bars from the bottom, and what is told where one points at it."""

    at: datetime
    bars: list[Bar]
    told: str


@dataclass(frozen=True)
class Rates:
    """Jobs that ended, by minute and status; `top` is the number at the upper edge."""

    top: int
    columns: list[Column]
    totals: dict[Status, int]
    summary: str


@dataclass(frozen=True)
class Latencies:
    """p50 and p99 on a logarithmic scale; `marks` are the times at its lines, the longest first."""

    marks: list[str]
    p50: str
    p99: str
    summary: str


def rates(minutes: Sequence[MinuteStats]) -> Rates:
    most = max(minutes, key=_ended)
    top = nice_top(_ended(most))
    totals = {status: sum(minute.counts.get(status, 0) for minute in minutes) for status in STACKED}
    told = ", ".join(f"{words.number(count)} {status}" for status, count in totals.items())
    peak = (
        f"; most in the minute from {words.minute(most.at)} UTC, {words.number(_ended(most))}" if _ended(most) else ""
    )
    return Rates(top, [_column(minute, top) for minute in minutes], totals, f"Jobs that ended, by minute: {told}{peak}")


def _ended(minute: MinuteStats) -> int:
    return sum(minute.counts.values())


def _column(minute: MinuteStats, top: int) -> Column:
    bars, base = [], float(HEIGHT)
    for status in STACKED:
        if count := minute.counts.get(status, 0):
            height = HEIGHT * count / top
            base -= height
            bars.append(Bar(status, round(base, 2), round(height, 2)))
    return Column(minute.at, bars, _told(minute))


def _told(minute: MinuteStats) -> str:
    counts = ", ".join(f"{words.number(minute.counts[s])} {s}" for s in STACKED if minute.counts.get(s))
    if not counts or minute.p50_ms is None or minute.p99_ms is None:
        return f"{words.minute(minute.at)}: nothing ended"
    latency = f"p50 {words.span(minute.p50_ms / 1000)}, p99 {words.span(minute.p99_ms / 1000)}"
    return f"{words.minute(minute.at)}: {counts}; {latency}"


def nice_top(most: int) -> int:
    """The least of 2, 4, 10, 20, 40, 100 … that is not below `most`, so that its half is a whole number too."""
    power = 1
    while True:
        for step in STEPS:
            if 2 * step * power >= most:
                return 2 * step * power
        power *= 10


def latencies(minutes: Sequence[MinuteStats]) -> Latencies:
    known = [ms for minute in minutes for ms in (minute.p50_ms, minute.p99_ms) if ms is not None]
    lowest = math.floor(math.log10(min(known))) if known else 0
    highest = max(lowest + 1, math.ceil(math.log10(max(known)))) if known else 3

    def y(ms: float) -> float:
        return round(HEIGHT * (1 - (math.log10(ms) - lowest) / (highest - lowest)), 2)

    marks = [words.span(10**power / 1000) for power in range(highest, lowest - 1, -1)]
    p50s, p99s = [minute.p50_ms for minute in minutes], [minute.p99_ms for minute in minutes]
    return Latencies(marks, _line(p50s, y), _line(p99s, y), f"From submit to outcome: {_range(p50s, p99s)}")


def _line(values: Iterable[float | None], y: Callable[[float], float]) -> str:
    """An SVG path through the minutes in which something ended, broken where nothing did."""
    parts: list[str] = []
    before: float | None = None
    for place, ms in enumerate(values):
        if ms is not None:
            x = place + _HALF
            parts.append(f"M{x} {y(ms)}h{_DOT}" if before is None else f"L{x} {y(ms)}")
        before = ms
    return "".join(parts)


def _range(p50s: Iterable[float | None], p99s: Iterable[float | None]) -> str:
    said = []
    for name, values in (("p50", p50s), ("p99", p99s)):
        known = [ms / 1000 for ms in values if ms is not None]
        if known:
            said.append(f"{name} between {words.span(min(known))} and {words.span(max(known))}")
    return ", ".join(said) or "nothing ended in the last hour"
