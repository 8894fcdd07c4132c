"""The records of a file, each with the line on which it begins: rows of a table, or lines of JSON."""

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import orjson

from dibs.importing.faults import Fault, FileFault
from dibs.importing.input import LONGEST_LINE, Input

DELIMITERS = ",;\t|"
MOST_FAULTS = 10

Read = Callable[[], Iterator["Record"]]
"""Reads the records from the first on."""


class Record(NamedTuple):
    """One add, as a line of a bulk; `line` is where it begins in the file."""

    line: int
    add: bytes


class Row(NamedTuple):
    line: int
    cells: list[str]


class Table:
    """A file of rows under a header."""

    def __init__(self, file: Input, delimiter: str | None) -> None:
        """Reads the header; raises `FileFault`."""
        csv.field_size_limit(LONGEST_LINE)
        self._file = file
        self._delimiter = delimiter or _likely_delimiter(file)
        self.header = [name.strip() for name in next(self._rows(), Row(1, [])).cells]
        if not self.header:
            raise FileFault([], f"{file.name} is empty; it should begin with the names of its columns")
        for place, name in enumerate(self.header, 1):
            if not name or name in self.header[: place - 1]:
                told = f"column {place} has no name" if not name else f"two columns are called {name}"
                raise FileFault([Fault(1, told)])

    def rows(self) -> Iterator[Row]:
        """The rows below the header, blank ones left out; raises `FileFault` behind the last one, if any is wrong."""
        faults: list[Fault] = []
        rows = self._rows()
        next(rows)
        for row in rows:
            if len(row.cells) == len(self.header):
                yield row
            elif len(faults) < MOST_FAULTS:
                faults.append(Fault(row.line, f"has {len(row.cells)} cells, and the header has {len(self.header)}"))
        if faults:
            raise FileFault(faults)

    def _rows(self) -> Iterator[Row]:
        reader = csv.reader(self._file.lines(), delimiter=self._delimiter, strict=True)
        begins = 1
        try:
            for cells in reader:
                if cells:
                    yield Row(begins, cells)
                begins = reader.line_num + 1
        except csv.Error as error:
            raise FileFault([Fault(begins, f"is no row of a table: {error}; is a quote missing?")]) from None


def _likely_delimiter(file: Input) -> str:
    """The one that gives the header the most columns."""
    header = next(file.lines(), "")
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), [])))


def of_table(table: Table, shape: Callable[[list[str]], bytes]) -> Iterator[Record]:
    for row in table.rows():
        yield Record(row.line, shape(row.cells))


def of_json(lines: Iterable[str]) -> Iterator[Record]:
    """The lines that are not blank."""
    for number, line in enumerate(lines, 1):
        if text := line.strip():
            yield Record(number, _add_of(text.encode()))


def _add_of(line: bytes) -> bytes:
    """`line` as an add: it is one, or a row, a candidate alone or a list of them. What is no JSON is left to fail."""
    try:
        content = orjson.loads(line)
    except ValueError:
        return line
    match content:
        case {"candidates": [*_]}:
            return line
        case list():
            return b'{"candidates":' + line + b"}"
    return b'{"candidates":[' + line + b"]}"
