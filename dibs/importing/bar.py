"""The progress of an import: outcomes out of all, how fast, how long still, and how many of each kind."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from shared.contract import Status

KINDS = {
    Status.SUCCEEDED: "green",
    Status.EXHAUSTED: "yellow",
    Status.FAILED: "red",
    Status.CANCELLED: "red",
}


class Rate(ProgressColumn):
    """Outcomes a second, in this run."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s", style="progress.data.speed")


class Kinds(ProgressColumn):
    """How many of each kind, and how many were only taken in."""

    def render(self, task: Task) -> Text:
        return kinds(task.fields["counts"], task.fields["taken"])


class Bar:
    """Shows on `console`, where it is a terminal, from `began` until it is left."""

    def __init__(self, console: Console, name: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            Kinds(),
            console=console,
            disable=not console.is_terminal,
        )
        self._name = name

    def began(self, total: int, taken: int, counts: Mapping[Status, int]) -> None:
        """Start where an earlier run got to."""
        done = sum(counts.values())
        self._task = self._progress.add_task(self._name, total=total, completed=done, taken=taken, counts=dict(counts))
        self._progress.start()

    def went_on(self, taken: int, counts: Mapping[Status, int]) -> None:
        self._progress.update(self._task, completed=sum(counts.values()), taken=taken, counts=dict(counts))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def kinds(counts: Mapping[Status, int], taken: int) -> Text:
    """How many of each kind; those that are only taken in are waiting."""
    told = [Text(f"{counts[status]:,} {status}", style) for status, style in KINDS.items() if counts.get(status)]
    if (waiting := taken - sum(counts.values())) > 0:
        told.append(Text(f"{waiting:,} waiting", "cyan"))
    return Text(", ").join(told)
