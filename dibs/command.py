"""The `dibs` command. What runs a server is here; what talks to one is in `dibs.commands`."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from dibs.client.errors import DibsError
from dibs.commands import adding, importing, jobs, looking
from dibs.commands.options import Json
from dibs.errors import StartError
from dibs.show import Exit, complain, show_error
from shared.scopes import Scope

T = TypeVar("T")

SERVER = "On the server"

app = typer.Typer(
    help="Insert the first of these rows that is still free, exactly once, and tell which one it was.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for group in (adding, jobs, importing, looking):
    app.add_typer(group.app)

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
app.add_typer(keys, name="keys", rich_help_panel=SERVER)

Host = Annotated[str | None, typer.Option(help="Address to listen on, before DIBS_HOST.", show_default=False)]
Port = Annotated[int | None, typer.Option(help="Port to listen on, before DIBS_PORT; 0: any.", show_default=False)]


@app.command(rich_help_panel=SERVER, epilog="Example: DIBS_PORT=8080 dibs serve")
def serve(host: Host = None, port: Port = None) -> None:
    """Run api and worker in one process; needs no server: database and queue are embedded unless set."""
    from dibs.serve import serve  # noqa: PLC0415  # a second of imports that `dibs add` can do without

    _run(serve, host, port)


@app.command(
    rich_help_panel=SERVER,
    epilog="Example: DIBS_DATABASE_URL=postgresql://db/dibs DIBS_REDIS_URL=redis://queue dibs api",
)
def api(host: Host = None, port: Port = None) -> None:
    """Run the api alone; DIBS_DATABASE_URL and DIBS_REDIS_URL say on what."""
    from dibs.serve import serve_api  # noqa: PLC0415  # as in serve

    _run(serve_api, host, port)


@app.command(
    rich_help_panel=SERVER,
    epilog="Example: DIBS_DATABASE_URL=postgresql://db/dibs DIBS_REDIS_URL=redis://queue dibs worker",
)
def worker() -> None:
    """Run a worker alone; DIBS_DATABASE_URL and DIBS_REDIS_URL say on what."""
    from dibs.serve import serve_worker  # noqa: PLC0415  # as in serve

    _run(serve_worker)


@app.command(
    rich_help_panel=SERVER,
    epilog="Example: DIBS_DATABASE_URL=postgresql://db/dibs DIBS_MODELS=shop.models dibs migrate",
)
def migrate() -> None:
    """Bring the database to this version's schema, and create the tables of collections that are missing."""
    from dibs.schema import bring_up_to_date  # noqa: PLC0415  # as in serve

    typer.echo(_run(bring_up_to_date))


@app.command(rich_help_panel=SERVER, epilog="Example: dibs prune --older-than 90d --dry-run")
def prune(
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Since the job's end: hours, days or weeks, as 90d.")],
    collection: Annotated[str | None, typer.Option(help="Only jobs of this collection.")] = None,
    status: Annotated[str | None, typer.Option(help="Only jobs that ended so, as failed.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Receipts that one step looks at.")] = 5000,
    pause: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Between two steps.")] = 0.05,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if the queue may still know the jobs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Remove old receipts in small steps: their jobs are forgotten, and their idempotency keys free again."""
    from dibs.prune import Wish, check_age, read_age, read_status  # noqa: PLC0415  # as in serve
    from dibs.prune import prune as run  # noqa: PLC0415  # as in serve

    try:
        age, of_status = read_age(older_than), read_status(status)
        if not force:
            check_age(age)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    wish = Wish(age, collection, of_status, dry_run=dry_run, batch=batch, pause_s=pause, as_json=as_json)
    _run(lambda settings: run(settings, wish))


@app.command(
    rich_help_panel=SERVER,
    epilog="It runs where the server runs, with the server's own settings.\n\n"
    "Exit codes: 0 all is well, or there are only warnings, 1 something is wrong.\n\n"
    "Example: DIBS_DATABASE_URL=postgresql://db/dibs DIBS_REDIS_URL=redis://queue dibs doctor",
)
def doctor(*, as_json: Json = False) -> None:
    """Check settings, Redis, database, migrations, clocks and workers, and say how to mend each."""
    from dibs.doctor import examine, show  # noqa: PLC0415  # as in serve

    raise typer.Exit(show(_run(examine), as_json=as_json))


@keys.command("create", epilog="Example: dibs keys create shop --scope add --scope read --expires 90d")
def create_key(
    name: Annotated[str, typer.Argument(help="Whom the key speaks for; keys of one name see the same jobs.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it allows; again for more.", show_default="add, read")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it works, such as 90d, 12h or 30m.", show_default="for ever")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Its own limit, such as 100/second.", show_default="DIBS_RATE_LIMIT")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Make a key and print it: it is shown this once and kept nowhere.

    Servers that run take it at once; with the first one they refuse whoever has none within their DIBS_KEYS_REFRESH_S.
    """
    from dibs import keys  # noqa: PLC0415  # as in serve

    wish = keys.read_wish(name, scope or [Scope.ADD, Scope.READ], expires, rate)
    keys.show_made(*_run(lambda settings: keys.create(settings, wish)), as_json=as_json)


@keys.command("list", epilog="Example: dibs keys list --json")
def list_keys(*, as_json: Json = False) -> None:
    """Show every key that was ever made, without what is secret."""
    from dibs import keys  # noqa: PLC0415  # as in serve

    keys.show(_run(keys.every), as_json=as_json)


@keys.command("revoke", epilog="Example: dibs keys revoke 0123456789")
def revoke_key(key_id: Annotated[str, typer.Argument(metavar="ID")], *, as_json: Json = False) -> None:
    """Let a key work no more: servers that run refuse it within their DIBS_KEYS_REFRESH_S."""
    from dibs import keys  # noqa: PLC0415  # as in serve

    keys.show_revoked(*_run(lambda settings: keys.revoke(settings, key_id)), as_json=as_json)


def _run(entry: Callable[[Any], Coroutine[Any, Any, T]], host: str | None = None, port: int | None = None) -> T:
    from dibs.running import run  # noqa: PLC0415  # as in serve

    return run(entry, host=host, port=port)


def main() -> None:
    """The console script: whatever goes wrong in a foreseen way is one line on stderr."""
    try:
        app()
    except StartError as error:
        complain(str(error))
        code = Exit.USAGE if error.is_misuse else Exit.FAILED
    except DibsError as error:
        code = show_error(error)
    except asyncio.CancelledError:
        complain("stopped before it was ready")
        code = Exit.FAILED
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.FAILED
    else:
        return
    sys.exit(code)
