"""`dibs import`."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from dibs.client.address import HERE
from dibs.commands.options import ApiKey, Json, Url, paragraphs
from dibs.importing.bar import Bar, kinds
from dibs.importing.faults import FileFault
from dibs.importing.input import Input, opened
from dibs.importing.outcomes import Ended, file_for
from dibs.importing.records import Read, Table, of_json, of_table
from dibs.importing.shape import Mapping, Shape
from dibs.show import Exit, complain, print_json, print_line, printable, what_became_of
from shared.contract import DEFAULT_COLLECTION, OUTCOMES, Status

if TYPE_CHECKING:
    from dibs.importing.upload import Sender, Upload

app = typer.Typer()

PATIENCE_S = 60.0
"""How long a server that is away is waited for; after that the same command goes on where it was."""

GO_ON = "run the same command again to go on where it was"

MOST_TOLD = 10
"""Wrong lines that are told on the screen; the file of outcomes has all of them."""


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"


EPILOG = paragraphs("""
    [bold]CSV[/]: the header names columns of the collection. The candidates stand in its key column, and further ones,
    in order of preference, in columns called like it with _2, _3 behind: name,name_2,name_3. Or say which columns they
    are (--candidates first,second), or what separates them in one cell (--split ';'). All other columns become values.
    Empty cells are left out; numbers and truths are made by the collection's schema.

    [bold]NDJSON[/]: a line is an add such as {"candidates": ["Max", "Cody"], "values": {…}}, a row such as
    {"name": "Max"}, a candidate alone or a list of them.

    It is safe to break it off and to run it again: it goes on where it was, and every line is added once. The same
    file is imported a second time only under another --key.

    Exit codes: 0 all succeeded (or were taken in, with --no-wait), 1 some failed, or it did not come to its end, 2 the
    file or the command is wrong and nothing was sent, 3 none failed, but for some every candidate was taken.

    Example: dibs import names.csv --to animals --outcomes outcomes.csv

    Example: generate | dibs import - --to animals --format ndjson
""")


@app.command("import", epilog=EPILOG)
def import_(
    file: Annotated[str, typer.Argument(help="CSV or NDJSON; - is stdin, which is read to its end first.")],
    to: Annotated[str, typer.Option(help="The collection.")] = DEFAULT_COLLECTION,
    format_: Annotated[Format | None, typer.Option("--format", help="If the ending of FILE does not say it.")] = None,
    candidates: Annotated[
        str | None, typer.Option(help="The columns of the candidates, in order.", metavar="[KEY=]COLUMN,…")
    ] = None,
    split: Annotated[str | None, typer.Option(help="What separates candidates in one cell.", metavar="TEXT")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A column that is left out.", metavar="COLUMN")] = None,
    null: Annotated[str | None, typer.Option(help="A cell that means null.", metavar="TEXT")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV; found by the header otherwise.")] = None,
    encoding: Annotated[str, typer.Option(help="Of the file.")] = "utf-8",
    outcomes: Annotated[
        Path | None, typer.Option(help="Write what became of each line, as CSV or NDJSON by its ending.")
    ] = None,
    key: Annotated[str, typer.Option(help="Another one imports the same file once more.", show_default=False)] = "",
    url: Url = HERE,
    api_key: ApiKey = None,
    *,
    wait: Annotated[bool, typer.Option(help="Wait until every line has its outcome.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the adds as NDJSON and send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Add every line of a file, with progress; safe to break off and to run again."""
    from dibs.importing.upload import Sender, Stalled  # noqa: PLC0415  # as in connected

    mapping, screen = Mapping(candidates, split, skip or (), null), Console(stderr=True, highlight=False)
    upload: Upload | None = None
    try:
        with ExitStack() as stack:
            told = partial(_tell_away, screen, url)
            dibs = stack.enter_context(Sender(url, key=api_key, patience=PATIENCE_S, tell_away=told))
            source = stack.enter_context(opened(file, encoding))
            is_table = (format_ or _format_of(source)) is Format.CSV
            read = _table(dibs, source, to, mapping, delimiter) if is_table else _lines(source)
            if dry_run:
                sys.stdout.writelines(record.add.decode("utf-8", "replace") + "\n" for record in read())
                return
            write = stack.enter_context(file_for(outcomes)) if outcomes else None
            upload = _upload(dibs, source, read, to, key, Bar(screen, to), wait=wait)
            if wait and write:
                write(_ended(read, upload))
            elif wait and _code_of(upload.counts) is not Exit.DONE:
                _tell_failed(source.name, _ended(read, upload))
    except FileFault as fault:
        _tell(fault, file)
        raise typer.Exit(Exit.FAILED if upload else Exit.USAGE) from None
    except Stalled as stalled:
        complain(f"{stalled}; {GO_ON}")
        raise typer.Exit(Exit.FAILED) from None
    except KeyboardInterrupt:
        complain(f"stopped; {GO_ON}")
        raise typer.Exit(Exit.INTERRUPTED) from None
    _summarize(upload, source.name, as_json=as_json)
    raise typer.Exit(_code_of(upload.counts) if wait else Exit.DONE)


def _format_of(source: Input) -> Format:
    """By the ending of the name, else by how the file begins."""
    match Path(source.name).suffix.lower():
        case ".csv" | ".tsv":
            return Format.CSV
        case ".ndjson" | ".jsonl" | ".json":
            return Format.NDJSON
    return Format.NDJSON if next(source.lines(), "").lstrip().startswith(("{", "[", '"')) else Format.CSV


def _table(dibs: "Sender", source: Input, to: str, mapping: Mapping, delimiter: str | None) -> Read:
    collections = {collection.name: collection for collection in dibs.collections()}
    if to not in collections:
        raise FileFault([], f"--to: there is no collection {to}, only {', '.join(collections)}")
    table = Table(source, delimiter)
    shape = Shape(collections[to], table.header, mapping)
    return lambda: of_table(table, shape)


def _lines(source: Input) -> Read:
    return lambda: of_json(source.lines())


def _upload(dibs: "Sender", source: Input, read: Read, to: str, key: str, bar: Bar, *, wait: bool) -> "Upload":
    from dibs.importing.upload import Content, Upload  # noqa: PLC0415  # as in connected

    content = Content.of(read, to, key)
    if not content.records:
        raise FileFault([], f"{source.name} has nothing to import")
    with bar:
        upload = Upload(dibs, to, content, bar)
        upload.send(read, source.check_unchanged)
        if wait:
            upload.wait()
    return upload


def _tell_away(screen: Console, url: str) -> None:
    """Above the bar, or where it will be; what is no terminal hears of it when the patience is spent."""
    if screen.is_terminal:
        screen.print(Text(f"dibs: {printable(url)} cannot be reached, trying again"))


def _ended(read: Read, upload: "Upload") -> Iterator[Ended]:
    for record, job in zip(read(), upload.results(), strict=True):
        yield Ended(record.line, job)


def _tell_failed(name: str, ended: Iterable[Ended]) -> None:
    """The first of the lines that did not succeed, on stderr."""
    wrong = (e for e in ended if e.job is None or e.job.status is not Status.SUCCEEDED)
    for line, job in islice(wrong, MOST_TOLD):
        complain(f"{name}:{line}: {what_became_of(job)}")


def _summarize(upload: "Upload", name: str, *, as_json: bool) -> None:
    told = {
        "bulk": str(upload.bulk.id),
        "collection": upload.bulk.collection,
        "lines": upload.bulk.lines,
        "resumed_from": upload.begun_at,
        "counts": {status.value: upload.counts[status] for status in OUTCOMES if upload.counts[status]},
    }
    if as_json:
        print_json(told)
        return
    went_on = f", {upload.begun_at:,} of them in an earlier run" if upload.begun_at else ""
    line = Text(f"{upload.bulk.lines:,} lines of {name} went into {upload.bulk.collection}{went_on}: ")
    line.append_text(kinds(upload.counts, upload.bulk.lines))
    print_line(line.append(f"  bulk {upload.bulk.id}", "dim"))


def _code_of(counts: Counter[Status]) -> Exit:
    if counts[Status.FAILED] or counts[Status.CANCELLED]:
        return Exit.FAILED
    return Exit.EXHAUSTED if counts[Status.EXHAUSTED] else Exit.DONE


def _tell(fault: FileFault, name: str) -> None:
    for line, detail in fault.faults[:MOST_TOLD]:
        complain(f"{name}:{line}: {detail}")
    complain(fault.text or "nothing was sent: mend the file and import it again")
