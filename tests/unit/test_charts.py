"""The numbers behind the drawings: to scale, whole at the edges, and told in words."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from api.page.charts import HEIGHT, latencies, nice_top, rates
from api.stats import MinuteStats
from shared.contract import Status

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def minute(place: int, p50_ms: float | None = None, p99_ms: float | None = None, **counts: int) -> MinuteStats:
    told = {Status(name): count for name, count in counts.items()}
    return MinuteStats(at=NOON + timedelta(minutes=place), counts=told, p50_ms=p50_ms, p99_ms=p99_ms)


def hour(*known: MinuteStats) -> list[MinuteStats]:
    by_start = {one.at: one for one in known}
    return [by_start.get(empty.at, empty) for empty in (minute(place) for place in range(60))]


@pytest.mark.parametrize(
    ("most", "top"), [(0, 2), (1, 2), (3, 4), (10, 10), (11, 20), (41, 100), (1_234_567, 2_000_000)]
)
def test_the_upper_edge_is_round_and_so_is_its_half(most: int, top: int) -> None:
    assert nice_top(most) == top
    assert top % 2 == 0


def test_bars_are_stacked_to_scale() -> None:
    chart = rates(hour(minute(0, 8, 9, succeeded=50, exhausted=25, failed=25), minute(59, 8, 9, failed=10)))
    assert chart.top == 100
    first = chart.columns[0].bars
    assert [(bar.status, bar.y, bar.height) for bar in first] == [
        (Status.SUCCEEDED, 50, 50), (Status.EXHAUSTED, 25, 25), (Status.FAILED, 0, 25)
    ]  # fmt: skip
    assert [(bar.y, bar.height) for bar in chart.columns[59].bars] == [(HEIGHT - 10, 10)]
    assert chart.totals == {Status.SUCCEEDED: 50, Status.EXHAUSTED: 25, Status.FAILED: 35, Status.CANCELLED: 0}


def test_the_drawings_are_told_in_words() -> None:
    minutes = hour(minute(3, 8.0, 250.0, succeeded=1200, failed=1))
    assert "1\u202f200 succeeded" in rates(minutes).summary
    assert "most in the minute from 12:03 UTC, 1\u202f201" in rates(minutes).summary
    assert latencies(minutes).summary == (
        "From submit to outcome: p50 between 8\u00a0ms and 8\u00a0ms, p99 between 250\u00a0ms and 250\u00a0ms"
    )
    assert rates(minutes).columns[3].told == ("12:03: 1\u202f200 succeeded, 1 failed; p50 8\u00a0ms, p99 250\u00a0ms")
    assert rates(minutes).columns[4].told == "12:04: nothing ended"


def test_an_hour_in_which_nothing_ended_is_drawn_too() -> None:
    assert rates(hour()).top == 2
    assert latencies(hour()).p50 == ""
    assert latencies(hour()).summary == "From submit to outcome: nothing ended in the last hour"


def test_latencies_stand_between_the_powers_of_ten_around_them() -> None:
    chart = latencies(hour(minute(0, 10.0, 100.0, succeeded=1), minute(1, 31.6, 316.0, succeeded=1)))
    assert chart.marks == ["1\u00a0s", "100\u00a0ms", "10\u00a0ms"]
    places = [float(y) for y in re.findall(r"[ML]\S+ ([\d.]+)", chart.p50)]
    assert places == [100, pytest.approx(75, abs=0.1)]


def test_a_line_is_broken_where_nothing_ended() -> None:
    chart = latencies(hour(minute(0, 5, 5, succeeded=1), minute(2, 5, 5, succeeded=1), minute(3, 5, 5, succeeded=1)))
    assert re.findall("[MLh]", chart.p50) == ["M", "h", "M", "h", "L"]
