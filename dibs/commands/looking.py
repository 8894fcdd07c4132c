"""`dibs top`."""

import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from dibs.client.address import HERE
from dibs.client.errors import Unreachable
from dibs.commands.connected import connected
from dibs.commands.options import ApiKey, Json, Url
from dibs.show import Exit, print_json
from dibs.top import Sample, Sampler, picture

app = typer.Typer()


@app.command(
    epilog="Rates are of outcomes. Where the output is no terminal it is shown once. With --json: a sample a line.\n\n"
    "Example: dibs top\n\nExample: dibs top --once --json"
)
def top(
    url: Url = HERE,
    api_key: ApiKey = None,
    *,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one look to the next.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
    as_json: Json = False,
) -> None:
    """Show queue, rates and workers, live."""
    console = Console(highlight=False)
    with connected(url, api_key) as dibs:
        sampler = Sampler(dibs.stats)
        if once or not (as_json or console.is_terminal):
            _show_once(console, sampler.look(), as_json=as_json)
            return
        try:
            if as_json:
                for sample in _samples(sampler, every):
                    _show_once(console, sample, as_json=True)
                    sys.stdout.flush()
            else:
                _show_live(console, sampler, every)
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None


def _show_once(console: Console, sample: Sample, *, as_json: bool) -> None:
    if as_json:
        print_json(sample.as_json())
    else:
        console.print(picture(sample))


def _samples(sampler: Sampler, every_s: float) -> Iterator[Sample]:
    while True:
        yield sampler.look()
        time.sleep(every_s)


def _show_live(console: Console, sampler: Sampler, every_s: float) -> None:
    """Until it is told to stop; a server that is away is shown as such, under what was last seen."""
    shown = Group()
    with Live(shown, console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                shown = picture(sampler.look())
                live.update(shown, refresh=True)
            except Unreachable as away:
                live.update(Group(Text(str(away), "red"), shown), refresh=True)
            time.sleep(every_s)
