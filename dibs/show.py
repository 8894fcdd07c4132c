"""What the command says, and the exit code that says the same.

On stdout is the answer, for people or, with `--json`, for programs; everything else is on stderr. Colours are for
terminals alone, and NO_COLOR takes them away there too.
"""

import json
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.text import Text

from dibs.client.errors import DibsError, Refused, Unsendable
from shared.contract import JobView, Status


class Exit(IntEnum):
    """The exit codes of `dibs`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    EXHAUSTED = 3
    INTERRUPTED = 130
    """As a shell has it of what ends by SIGINT."""


OF_STATUS = {
    Status.SUCCEEDED: Exit.DONE,
    Status.EXHAUSTED: Exit.EXHAUSTED,
    Status.FAILED: Exit.FAILED,
    Status.CANCELLED: Exit.FAILED,
}
STYLES = {Exit.DONE: "green", Exit.FAILED: "red", Exit.EXHAUSTED: "yellow"}

CLIENTS_FAULT = range(400, 500)


def show_job(job: JobView, *, as_json: bool) -> None:
    """One line on stdout: the job in words, or in the JSON of GET /jobs/{id}."""
    if as_json:
        _console().out(job.model_dump_json())
        return
    line = Text(job.status.value, style=style_of(job.status))
    line.append(f" {job.collection}{_detail(job)}", style="default")
    line.append(f"  job {job.id}", style="dim")
    print_line(line)


def show_jobs(jobs: Iterable[JobView], *, as_json: bool) -> None:
    """A line for each of `jobs`, as they come: its end, its status, what became of it, its id."""
    for job in jobs:
        if as_json:
            _console().out(job.model_dump_json())
            continue
        line = Text(f"{job.finished_at or job.submitted_at:%Y-%m-%d %H:%M:%S}Z  ", style="dim")
        line.append(f"{job.status.value:<9}", style=style_of(job.status))
        line.append(f"  {job.collection}{_detail(job)}", style="default")
        print_line(line.append(f"  job {job.id}", style="dim"))


def style_of(status: Status) -> str:
    return STYLES.get(OF_STATUS.get(status, Exit.USAGE), "cyan")


def print_json(content: Any) -> None:
    _console().out(json.dumps(content, ensure_ascii=False))


def print_line(line: Text) -> None:
    _console().print(line)


def what_became_of(job: JobView | None) -> str:
    """A job's end in words."""
    if job is None:
        return "nothing is known of it"
    return f"{job.status}{_detail(job)}"


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _detail(job: JobView) -> str:
    if job.result is not None:
        # As JSON, so that a name cannot talk to the terminal.
        choice = "" if job.choice is None else f" (candidate no. {job.choice + 1})"
        return f" {json.dumps(job.result)}{choice}"
    if job.error is not None:
        return f": {job.error.title}: {printable(job.error.detail)}"
    return ": every candidate is taken" if job.status is Status.EXHAUSTED else ""


def code_of(job: JobView, *, waited: bool) -> Exit:
    """A job that has not ended is well as long as nobody waited for its end."""
    return OF_STATUS.get(job.status, Exit.FAILED if waited else Exit.DONE)


def show_error(error: DibsError) -> Exit:
    """Say on stderr what went wrong, and where in the request."""
    complain(str(error) if not isinstance(error, Refused) else f"{error.problem.title}: {error.problem.detail}")
    if not isinstance(error, Refused):
        return Exit.USAGE if isinstance(error, Unsendable) else Exit.FAILED
    for fault in error.problem.errors or []:
        complain(f"{fault.pointer}: {fault.detail}")
    return Exit.USAGE if error.status in CLIENTS_FAULT else Exit.FAILED


def complain(text: str) -> None:
    """One line on stderr, whatever `text` is made of."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"dibs: {printable(text)}"))


def printable(text: str) -> str:
    """`text` on one line, with nothing in it that talks to the terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
