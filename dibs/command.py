"""The `dibs` command."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from dibs import arguments
from dibs.client import Client, DibsError
from dibs.errors import StartError
from dibs.show import Exit, code_of, complain, show_error, show_job
from shared.contract import DEFAULT_COLLECTION
from shared.registry import CollectionError
from shared.settings import Settings, SettingsError
from shared.tasks import cancel

T = TypeVar("T")

app = typer.Typer(
    help="Insert the first of these rows that is still free, exactly once, and tell which one it was.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Host = Annotated[str | None, typer.Option(help="Address to listen on, before DIBS_HOST.", show_default=False)]
Port = Annotated[int | None, typer.Option(help="Port to listen on, before DIBS_PORT; 0: any.", show_default=False)]
Url = Annotated[str, typer.Option(help="Where dibs answers.", envvar="DIBS_URL")]
Json = Annotated[bool, typer.Option("--json", help="Print the job as JSON and nothing else.")]
Wait = Annotated[
    float | None,
    typer.Option(
        min=0, metavar="[SECONDS]", help=f"Wait for the outcome, {arguments.WAIT_S:g} seconds if none are given."
    ),
]

HERE = "http://127.0.0.1:8000"


@app.command(epilog="Example: DIBS_PORT=8080 dibs serve")
def serve(host: Host = None, port: Port = None) -> None:
    """Run api and worker in one process; needs no server: database and queue are embedded unless set."""
    from dibs.serve import serve  # noqa: PLC0415  # a second of imports that `dibs add` can do without

    _run(serve, host, port)


@app.command(epilog="Example: DIBS_DATABASE_URL=postgresql://db/dibs DIBS_REDIS_URL=redis://queue dibs api")
def api(host: Host = None, port: Port = None) -> None:
    """Run the api alone; DIBS_DATABASE_URL and DIBS_REDIS_URL say on what."""
    from dibs.serve import serve_api  # noqa: PLC0415  # as in serve

    _run(serve_api, host, port)


@app.command(epilog="Example: DIBS_DATABASE_URL=postgresql://db/dibs DIBS_REDIS_URL=redis://queue dibs worker")
def worker() -> None:
    """Run a worker alone; DIBS_DATABASE_URL and DIBS_REDIS_URL say on what."""
    from dibs.serve import serve_worker  # noqa: PLC0415  # as in serve

    _run(serve_worker)


@app.command(epilog="Example: DIBS_DATABASE_URL=postgresql://db/dibs DIBS_MODELS=shop.models dibs migrate")
def migrate() -> None:
    """Bring the database to this version's schema, and create the tables of collections that are missing."""
    from dibs.schema import bring_up_to_date  # noqa: PLC0415  # as in serve

    typer.echo(_run(bring_up_to_date))


@app.command(cls=arguments.WithOptionalSeconds, epilog="Example: dibs add Max Cody Robby --wait")
def add(
    candidates: Annotated[
        list[str] | None,
        typer.Argument(help="In order of preference: text, or rows as JSON objects.", show_default="Max Cody Robby"),
    ] = None,
    to: Annotated[str | None, typer.Option(help="The collection.", show_default=DEFAULT_COLLECTION)] = None,
    value: Annotated[
        list[str] | None, typer.Option(help="A column that all candidates share.", metavar="COLUMN=VALUE")
    ] = None,
    wait: Wait = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key is the same job.")] = None,
    url: Url = HERE,
    *,
    as_json: Json = False,
) -> None:
    """Add the first candidate that is free. Exits with 0 if done, 1 if failed, 2 if misused, 3 if all are taken."""
    wished, values = arguments.read_candidates(candidates or []), arguments.read_values(value or [])
    if wished is None and (to not in {None, DEFAULT_COLLECTION} or values):
        raise typer.BadParameter(f"without candidates only {DEFAULT_COLLECTION} can be added to, and without values")
    with Client(url) as client:
        job = client.submit(wished, values=values, collection=to, key=key, wait_s=wait or 0)
    show_job(job, as_json=as_json)
    raise typer.Exit(code_of(job, waited=wait is not None))


@app.command(cls=arguments.WithOptionalSeconds, epilog="Example: dibs job 01920000-0000-7000-8000-000000000000 --wait")
def job(
    job_id: Annotated[UUID, typer.Argument(metavar="ID")], wait: Wait = None, url: Url = HERE, *, as_json: Json = False
) -> None:
    """Show where a job stands; exits as add does."""
    with Client(url) as client:
        view = client.job(job_id) if wait is None else client.wait(job_id, timeout_s=wait)
    show_job(view, as_json=as_json)
    raise typer.Exit(code_of(view, waited=wait is not None))


def _run(entry: Callable[[Settings], Coroutine[Any, Any, T]], host: str | None = None, port: int | None = None) -> T:
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = Settings.load(**given)
    from dibs import logs  # noqa: PLC0415  # as in serve

    logs.set_up(settings.log_level, settings.log_format)
    # As `python -m` does: DIBS_MODELS names modules of the application in whose directory we are.
    sys.path.append(str(Path.cwd()))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_to_the_end(entry(settings)))


async def _to_the_end(entry: Coroutine[Any, Any, T]) -> T:
    try:
        return await entry
    finally:
        # The loop would cancel what is left once and wait for it for ever; a connection of aiosqlite whose close
        # was cut short needs a second push.
        await cancel(asyncio.all_tasks() - {asyncio.current_task()})


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # it does not exist on every system
    except ImportError:
        return None
    return uvloop.new_event_loop


def main() -> None:
    """The console script: whatever goes wrong in a foreseen way is one line on stderr."""
    try:
        app()
    except (SettingsError, CollectionError) as error:
        complain(str(error))
        code = Exit.USAGE
    except StartError as error:
        complain(str(error))
        code = Exit.FAILED
    except DibsError as error:
        code = show_error(error)
    except asyncio.CancelledError:
        complain("stopped before it was ready")
        code = Exit.FAILED
    else:
        return
    sys.exit(code)
