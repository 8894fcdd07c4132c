"""`dibs add`."""

from typing import Annotated

import typer

from dibs import arguments
from dibs.client.address import HERE
from dibs.commands.connected import connected
from dibs.commands.options import ApiKey, Json, Url, Wait, paragraphs
from dibs.show import code_of, show_job
from shared.contract import DEFAULT_COLLECTION

app = typer.Typer()

EPILOG = paragraphs("""
    Exit codes: 0 it succeeded (or was accepted, without --wait), 1 it failed, was cancelled or had no outcome in time,
    or nobody answered, 2 misused, 3 every candidate was taken.

    Example: dibs add Max Cody Robby --wait

    Example: dibs add '{"handle": "ada"}' '{"handle": "ada.l"}' --to handles --value tenant=acme --key signup-4711
""")


@app.command(cls=arguments.WithOptionalSeconds, epilog=EPILOG)
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
    api_key: ApiKey = None,
    *,
    as_json: Json = False,
) -> None:
    """Add the first candidate that is free."""
    wished, values = arguments.read_candidates(candidates or []), arguments.read_values(value or [])
    with connected(url, api_key) as dibs:
        job = dibs.add(*wished, to=to, values=values, idempotency_key=key, wait=wait or 0)
    show_job(job.view, as_json=as_json)
    raise typer.Exit(code_of(job.view, waited=wait is not None))
