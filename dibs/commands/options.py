"""Options that several commands have, and the form of their help."""

from typing import Annotated

import typer

from dibs.arguments import WAIT_S

Url = Annotated[str, typer.Option(help="Where dibs answers.", envvar="DIBS_URL")]
ApiKey = Annotated[
    str | None, typer.Option(help="API key; better in DIBS_API_KEY.", envvar="DIBS_API_KEY", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
Wait = Annotated[
    float | None,
    typer.Option(min=0, metavar="[SECONDS]", help=f"Wait for the outcome, {WAIT_S:g} seconds if none are given."),
]


def paragraphs(text: str) -> str:
    """`text` for an epilogue, whose lines would else break where they break here."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
