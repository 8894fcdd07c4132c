"""`dibs job`, `dibs jobs`, `dibs retry` and `dibs cancel`."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from dibs import arguments
from dibs.client.address import HERE
from dibs.client.errors import TimedOut
from dibs.client.outcomes import Cancelled
from dibs.commands.connected import connected
from dibs.commands.options import ApiKey, Json, Url, Wait
from dibs.show import Exit, code_of, complain, show_job, show_jobs
from shared.contract import Status

if TYPE_CHECKING:
    from dibs.client.faces import JobSync

app = typer.Typer()

JobId = Annotated[UUID, typer.Argument(metavar="ID")]
Collection = Annotated[str | None, typer.Option(help="Of this collection only.")]
Since = Annotated[
    str | None, typer.Option(help="Ended since: 15m, 2h, 7d ago, or a time: 2026-01-31T12:00Z.", metavar="TIME")
]

TOO_LATE = {Status.SUCCEEDED: "succeeded", Status.EXHAUSTED: "found every candidate taken", Status.FAILED: "failed"}

LOOK_S = 1.0
"""How often `--watch` looks for a change before the end; of the end itself it hears at once."""


@app.command(
    cls=arguments.WithOptionalSeconds,
    epilog="Exit codes: as of dibs add.\n\nExample: dibs job 01920000-0000-7000-8000-000000000000 --watch",
)
def job(
    job_id: JobId,
    wait: Wait = None,
    url: Url = HERE,
    api_key: ApiKey = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show each change until the outcome.")] = False,
    as_json: Json = False,
) -> None:
    """Show where a job stands."""
    with connected(url, api_key) as dibs:
        found = dibs.job(job_id)
        if watch:
            _watch(found, as_json=as_json)
        elif wait is not None:
            _wait(found, wait)
    if not watch:
        show_job(found.view, as_json=as_json)
    raise typer.Exit(code_of(found.view, waited=watch or wait is not None))


def _wait(job: "JobSync", seconds: float) -> None:
    """Until it has ended, or as long as it may take."""
    with suppress(TimedOut):
        job.outcome(timeout=seconds)


def _watch(job: "JobSync", *, as_json: bool) -> None:
    show_job(job.view, as_json=as_json)
    shown = job.status
    while not job.status.is_outcome:
        _wait(job, LOOK_S)
        if job.status is not shown:
            show_job(job.view, as_json=as_json)
            shown = job.status


@app.command(
    epilog="With --json: a job a line.\n\n"
    "Example: dibs jobs --status failed --since 2h\n\nExample: dibs jobs --collection animals --limit 1000 --json"
)
def jobs(
    status: Annotated[
        list[Status] | None, typer.Option(help="Only these; again for more. Those that wait are shown oldest first.")
    ] = None,
    collection: Collection = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, page after page.")] = 20,
    url: Url = HERE,
    api_key: ApiKey = None,
    *,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    from_ = None if since is None else arguments.read_time(since)
    with connected(url, api_key) as dibs:
        found = dibs.jobs(status=status or (), collection=collection, since=from_, limit=limit)
        show_jobs((job.view for job in found), as_json=as_json)


@app.command(
    epilog="Exit codes: 0 every one was accepted, 1 or 2 not, as of dibs add.\n\n"
    "Example: dibs retry 01920000-0000-7000-8000-000000000000\n\n"
    "Example: dibs retry --failed --collection animals --since 2h"
)
def retry(
    job_ids: Annotated[list[UUID] | None, typer.Argument(metavar="ID…", show_default=False)] = None,
    collection: Collection = None,
    since: Since = None,
    url: Url = HERE,
    api_key: ApiKey = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed, instead of some by their id.")] = False,
    as_json: Json = False,
) -> None:
    """Add once more what a job was to add, as a new job; each is sent again once, however often this is said."""
    if failed == bool(job_ids) or (not failed and (collection or since)):
        raise typer.BadParameter("give ids, or --failed and perhaps --collection and --since")
    from_ = None if since is None else arguments.read_time(since)
    code = Exit.DONE
    with connected(url, api_key) as dibs:
        for job_id in job_ids or []:
            show_job(dibs.job(job_id).retry().view, as_json=as_json)
        for retried in dibs.retry_all(collection=collection, since=from_) if failed else ():
            if retried.retry is not None:
                show_job(retried.retry, as_json=as_json)
            else:
                complain(f"{retried.job}: {retried.error.detail if retried.error else 'was not sent'}")
                code = Exit.FAILED
    raise typer.Exit(code)


@app.command(
    epilog="Exit codes: 0 every one is cancelled, 1 for one at least it was too late.\n\n"
    "Example: dibs cancel 01920000-0000-7000-8000-000000000000"
)
def cancel(
    job_ids: Annotated[list[UUID], typer.Argument(metavar="ID…")],
    url: Url = HERE,
    api_key: ApiKey = None,
    *,
    as_json: Json = False,
) -> None:
    """Cancel jobs: each never inserts anything, or keeps the outcome that it had before."""
    code = Exit.DONE
    with connected(url, api_key) as dibs:
        for job in map(dibs.job, job_ids):
            if not isinstance(job.cancel(), Cancelled):
                complain(f"{job.id}: too late: the job has {TOO_LATE[job.status]}")
                code = Exit.FAILED
            show_job(job.view, as_json=as_json)
    raise typer.Exit(code)
