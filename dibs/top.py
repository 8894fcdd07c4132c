"""What `dibs top` shows: the server's stats, and how fast outcomes come between two looks at them."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from dibs.client.answers import Minute, Stats, Worker
from dibs.show import style_of
from shared.contract import OUTCOMES, Status

BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Sample:
    """The stats, and outcomes a second since the look before; None at the first one."""

    stats: Stats
    rate: float | None

    def as_json(self) -> dict[str, Any]:
        return {"outcomes_per_s": self.rate, **self.stats.model_dump(mode="json")}


class Sampler:
    """Looks at the stats, and remembers the last look."""

    def __init__(self, stats: Callable[[], Stats], clock: Callable[[], float] = time.monotonic) -> None:
        self._stats = stats
        self._clock = clock
        self._before: tuple[float, Stats] | None = None

    def look(self) -> Sample:
        """Raises what the client raises."""
        stats, now = self._stats(), self._clock()
        before, self._before = self._before, (now, stats)
        if before is None or now <= before[0]:
            return Sample(stats, None)
        return Sample(stats, _ended_between(before[1], stats) / (now - before[0]))


def _ended_between(before: Stats, after: Stats) -> int:
    """By the minutes that both know and those that are new; the oldest falls out of the hour meanwhile."""
    known = {minute.at: ended_in(minute) for minute in before.minutes}
    return sum(ended_in(minute) - known.get(minute.at, 0) for minute in after.minutes)


def ended_in(minute: Minute) -> int:
    return sum(minute.counts.values())


def picture(sample: Sample) -> Group:
    """For a terminal."""
    queue, minutes = sample.stats.queue, sample.stats.minutes
    return Group(
        _line("queue", f"{queue.depth:,} of {queue.limit:,}" + _oldest(queue.oldest_age_s)),
        _line("rate", "…" if sample.rate is None else f"{sample.rate:,.0f} outcomes/s"),
        _line("last hour", _counts(minutes)),
        _line("", Text(_bars(minutes), "cyan")),
        _line("latency", _quantiles(minutes)),
        _line("workers", str(len(sample.stats.workers)) if sample.stats.workers else Text("none is alive", "red")),
        _workers(sample.stats.workers),
    )


def _line(name: str, said: str | Text) -> Text:
    return Text.assemble((f"{name:<13}", "dim"), said)


def _oldest(age_s: float | None) -> str:
    return "" if age_s is None else f", the oldest waits for {age_s:,.1f} s"


def _counts(minutes: list[Minute]) -> Text:
    """How many ended how."""
    total: Counter[Status] = Counter()
    for minute in minutes:
        total.update(minute.counts)
    told = Text()
    for status in Status:
        if status in OUTCOMES and total[status]:
            told.append(f"{total[status]:,} {status}  ", style_of(status))
    return told


def _bars(minutes: list[Minute]) -> str:
    """A bar for each minute."""
    most = max((ended_in(minute) for minute in minutes), default=0) or 1
    return "".join(BARS[round(ended_in(minute) / most * (len(BARS) - 1))] for minute in minutes)


def _quantiles(minutes: list[Minute]) -> str:
    """Of the last minute in which anything ended."""
    busy = [minute for minute in minutes if minute.p50_ms is not None and minute.p99_ms is not None]
    if not busy:
        return "nothing ended"
    return f"p50 {busy[-1].p50_ms:,.1f} ms, p99 {busy[-1].p99_ms:,.1f} ms from submit to outcome"


def _workers(workers: list[Worker]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for worker in sorted(workers, key=lambda w: w.name):
        running = "  ".join(f"{batch.jobs:,} {batch.collection or '?'}" for batch in worker.running)
        more = f"  and {worker.more} batches more" if worker.more else ""
        up = datetime.now(UTC) - worker.started_at
        table.add_row(
            Text(f"{'':<13}{worker.name}"), f"up {_span(up.total_seconds())}", Text(f"{running}{more}" or "idle", "dim")
        )
    return table


def _span(seconds: float) -> str:
    minutes, seconds = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
