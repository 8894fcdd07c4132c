"""GET /: what waits, what runs, what ended in the last hour, and what failed lately."""

import asyncio

from fastapi import FastAPI, Request, Response

from api.callers import Scope, caller_of
from api.door import Door
from api.job_list import PageFilter
from api.page import charts
from api.page.frame import or_problem, route
from api.page.list_page import WAITING_QUERY
from api.page.rendering import Pages
from api.page.rows import Rows, read_rows
from api.stats import MinuteStats, Stats, read_stats
from shared.contract import Status
from shared.problems import Problem

FAILURES = 8


def install(app: FastAPI, door: Door, pages: Pages) -> None:
    async def overview(request: Request) -> Response:
        failed = PageFilter(status=[Status.FAILED], limit=FAILURES)
        stats, failures = await asyncio.gather(
            or_problem(read_stats(door)), or_problem(read_rows(door, caller_of(request), failed))
        )
        return pages.render(
            request,
            "overview.html",
            troubles=[part for part in (stats, failures) if isinstance(part, Problem)],
            failures=failures.rows if isinstance(failures, Rows) else None,
            statuses=charts.STACKED,
            waiting=WAITING_QUERY,
            **(_drawn(stats) if isinstance(stats, Stats) else {"stats": None}),
        )

    route(app, pages, "GET", "/", overview, Scope.READ)


def _drawn(stats: Stats) -> dict[str, object]:
    return {
        "stats": stats,
        "running": sum(batch.jobs for worker in stats.workers for batch in worker.running),
        "rates": charts.rates(stats.minutes),
        "latencies": charts.latencies(stats.minutes),
        "last": _last(stats.minutes),
    }


def _last(minutes: list[MinuteStats]) -> MinuteStats | None:
    """The latest minute in which something ended."""
    return next((minute for minute in reversed(minutes) if minute.counts), None)
