"""What the command says about a job, and the exit code that says the same."""

import json
from enum import IntEnum

from rich.console import Console
from rich.text import Text

from dibs.client import DibsError, Refused, Unsendable
from shared.contract import JobView, Status


class Exit(IntEnum):
    """The exit codes of `dibs`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    EXHAUSTED = 3


OF_STATUS = {
    Status.SUCCEEDED: Exit.DONE,
    Status.EXHAUSTED: Exit.EXHAUSTED,
    Status.FAILED: Exit.FAILED,
    Status.CANCELLED: Exit.FAILED,
}
STYLES = {Exit.DONE: "green", Exit.FAILED: "red", Exit.EXHAUSTED: "yellow"}

CLIENTS_FAULT = range(400, 500)


def show_job(job: JobView, *, as_json: bool) -> None:
    out = Console(highlight=False, soft_wrap=True)
    if as_json:
        out.out(job.model_dump_json())
        return
    line = Text(job.status.value, style=STYLES.get(OF_STATUS.get(job.status, Exit.USAGE), "cyan"))
    line.append(f" {_what(job)}", style="default")
    line.append(f"  job {job.id}", style="dim")
    out.print(line)


def _what(job: JobView) -> str:
    if job.result is not None:
        # As JSON, so that a name cannot talk to the terminal.
        choice = "" if job.choice is None else f" (candidate no. {job.choice + 1})"
        return f"{job.collection} {json.dumps(job.result)}{choice}"
    if job.error is not None:
        return f"{job.collection}: {job.error.title}: {json.dumps(job.error.detail)}"
    if job.status is Status.EXHAUSTED:
        return f"{job.collection}: every candidate is taken"
    return job.collection


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
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"dibs: {line}"))
