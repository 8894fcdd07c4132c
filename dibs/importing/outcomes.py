"""The outcomes of an import, record by record: into a file, or the failed ones onto the screen."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, Protocol, TextIO

from dibs.importing.faults import FileFault
from shared.contract import JobView

COLUMNS = ("line", "status", "choice", "result", "error", "job")


class Ended(NamedTuple):
    """What became of the record that begins on `line` of the file; None where the server cannot say."""

    line: int
    job: JobView | None


class Writer(Protocol):
    def __call__(self, ended: Iterable[Ended]) -> None: ...


@contextmanager
def file_for(path: Path) -> Iterator[Writer]:
    """Writes CSV or, by any other ending of `path`, NDJSON. The file is there when all of it is; raises `FileFault`."""
    # Another run may write to the same path at the same time: each to a part of its own, and the last one stays.
    part = path.with_name(f".{path.name}.{token_hex(4)}.part")
    write = _write_table if path.suffix.lower() == ".csv" else _write_lines
    try:
        with part.open("w", encoding="utf-8", newline="") as file:

            def write_whole(ended: Iterable[Ended]) -> None:
                write(file, ended)
                file.flush()
                os.fsync(file.fileno())
                part.replace(path)

            yield write_whole
    except OSError as error:
        raise FileFault([], f"--outcomes: {path} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _write_lines(file: TextIO, ended: Iterable[Ended]) -> None:
    for line, job in ended:
        told = {"line": line} | (job.model_dump(mode="json") if job else {})
        file.write(json.dumps(told, ensure_ascii=False) + "\n")


def _write_table(file: TextIO, ended: Iterable[Ended]) -> None:
    table = csv.writer(file)
    table.writerow(COLUMNS)
    for line, job in ended:
        if job is None:
            table.writerow([line])
            continue
        result = "" if job.result is None else json.dumps(job.result, ensure_ascii=False)
        choice = "" if job.choice is None else job.choice
        table.writerow([line, job.status, choice, result, job.error.detail if job.error else "", job.id])
