"""How the page tells numbers, times and rows."""

from datetime import UTC, datetime, timedelta

import pytest

from api.page import words

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 ms"), (0.0004, "0.4 ms"), (0.0048, "4.8 ms"), (0.25, "250 ms"),
        (1, "1 s"), (7.25, "7.2 s"), (59.4, "59 s"),
        (60, "1 min"), (90, "1.5 min"), (3600, "1 h"), (86_400, "1 d"), (864_000, "10 d"),
    ],
)  # fmt: skip
def test_spans(seconds: float, told: str) -> None:
    assert words.span(seconds) == told.replace(" ", "\u00a0")


def test_moments() -> None:
    assert words.ago(NOW, NOW) == "just now"
    assert words.ago(NOW - timedelta(seconds=90), NOW) == "1.5\u00a0min ago"
    assert words.stamp(NOW) == "2026-01-02 03:04:05.678 UTC"
    assert words.field(NOW) == "2026-01-02T03:04"
    assert words.field(None) == ""
    # The clocks of two machines may differ.
    assert words.took(NOW, NOW - timedelta(seconds=1)) == "0\u00a0ms"
    assert words.ago(NOW + timedelta(seconds=5), NOW) == "just now"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"name": "Max"}, "Max"),
        ({"number": 5}, "5"),
        ({"tenant": "acme", "handle": "max"}, "tenant: acme, handle: max"),
        ({"handle": "max", "tags": {"a": [1]}}, 'handle: max, tags: {"a":[1]}'),
        ({"handle": "max", "email": None}, "handle: max, email: null"),
    ],
)
def test_candidates(row: dict[str, object], told: str) -> None:
    assert words.candidate(row) == told


def test_numbers() -> None:
    assert words.number(1_234_567) == "1\u202f234\u202f567"
