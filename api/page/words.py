"""How numbers, times and rows are told on the page."""

from datetime import UTC, datetime
from typing import Any

from shared.contract import Row
from shared.encoding import encode

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (0, "ms"))
"""The least number of seconds that is told in each."""


def number(value: float) -> str:
    """With thin gaps between thousands: 1 234 567."""
    return f"{value:,}".replace(",", "\u202f")


def span(seconds: float) -> str:
    """A length of time in the unit that says it best, with two or three digits, in one piece."""
    unit_s, name = next(unit for unit in _UNITS if seconds >= unit[0])
    whole = seconds / (unit_s or 0.001)
    digits = 0 if whole >= 10 else 1  # noqa: PLR2004  # from two digits on
    return f"{whole:.{digits}f}".removesuffix(".0") + f"\u00a0{name}"


def took(start: datetime, end: datetime) -> str:
    return span(max(0.0, (end - start).total_seconds()))


def ago(moment: datetime, now: datetime) -> str:
    seconds = (now - moment).total_seconds()
    return "just now" if seconds < 1 else f"{span(float(int(seconds)))} ago"


def stamp(moment: datetime) -> str:
    """To the millisecond, in UTC: for a title, and where the order of things matters."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%H:%M")


def field(moment: datetime | None) -> str:
    """As a form's field for a time wants it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") if moment else ""


def plain(value: Any) -> str:
    """A JSON value as a person would write it."""
    return value if isinstance(value, str) else encode(value).decode()


def candidate(row: Row) -> str:
    """One candidate in one line: its value where it has one column, else its columns by name."""
    if len(row) == 1:
        return plain(next(iter(row.values())))
    return ", ".join(f"{name}: {plain(value)}" for name, value in row.items())
