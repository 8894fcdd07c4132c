"""From the cells of a row to an add: which columns hold the candidates, and of what type each column is."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dibs.client.answers import Collection
from dibs.importing.faults import FileFault

TRUTHS = {"true": True, "t": True, "yes": True, "y": True, "1": True} | dict.fromkeys(
    ("false", "f", "no", "n", "0"), False
)
_INTEGER = re.compile(r"[+-]?\d{1,40}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_NUMBERED = re.compile(r"(.+)_([2-9]|[1-9]\d+)")

ANY = frozenset[str]()
"""What the schema says of a column that takes any JSON."""


@dataclass(frozen=True)
class Mapping:
    """What the caller says of the columns.

    `candidates` names those that hold the candidates, in order of preference, perhaps with the key column that they
    are meant for in front: `handle=first,second`. `split` separates several in one cell. Columns of `skip` are left
    out; a cell that is `null` is null, an empty one is left out.
    """

    candidates: str | None = None
    split: str | None = None
    skip: Sequence[str] = ()
    null: str | None = None


class Shape:
    """Makes an add of a row's cells."""

    def __init__(self, collection: Collection, header: Sequence[str], mapping: Mapping) -> None:
        """Raises `FileFault` where the columns do not fit the collection."""
        self._collection = collection
        self._mapping = mapping
        self._types = types_of(collection)
        unknown = set(mapping.skip) - set(header)
        if unknown:
            raise FileFault([], f"--skip: there is no column {', '.join(sorted(unknown))}")
        self._places = {name: place for place, name in enumerate(header) if name not in mapping.skip}
        self._choices = self._named_choices() if mapping.candidates else self._numbered_choices()
        self._check_split()
        used = {name for choice in self._choices for name in choice.values()}
        self._shared = [name for name in self._places if name not in used]
        self._check_columns()

    def __call__(self, cells: list[str]) -> bytes:
        candidates = [row for choice in self._choices for row in self._rows(choice, cells)]
        add: dict[str, Any] = {"candidates": candidates}
        if values := self._values({name: name for name in self._shared}, cells):
            add["values"] = values
        return json.dumps(add, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def _named_choices(self) -> list[dict[str, str]]:
        """The choices of `--candidates`: for each, the key's column and the file's."""
        key, equals, names = (self._mapping.candidates or "").rpartition("=")
        if equals and key not in self._collection.key:
            raise FileFault([], f"--candidates: {key} is not part of the key of {self._collection.name}, {self._key()}")
        if not equals and len(self._collection.key) > 1:
            raise FileFault([], f"--candidates: say for which column of the key: {self._collection.key[-1]}={names}")
        chosen = [name.strip() for name in names.split(",")]
        if missing := [name for name in chosen if name not in self._places]:
            raise FileFault([], f"--candidates: there is no column {', '.join(missing)}")
        return [{key or self._collection.key[0]: name} for name in chosen]

    def _numbered_choices(self) -> list[dict[str, str]]:
        """The choices by the columns' names: the key's own are the first, those with _2, _3 behind it the others."""
        first = {name: name for name in self._collection.key if name in self._places}
        if not first:
            raise FileFault(
                [],
                f"no column holds the candidates: the key of {self._collection.name} is {self._key()}; "
                "call a column so, or say which it is by --candidates",
            )
        numbered: dict[int, dict[str, str]] = {}
        for name in self._places:
            found = _NUMBERED.fullmatch(name)
            if found and found[1] in self._collection.key and name not in self._types:
                numbered.setdefault(int(found[2]), {})[found[1]] = name
        if not numbered:
            return [first]
        # In the order of the key: the same file must make the same bytes each time.
        varying = [column for column in self._collection.key if any(column in choice for choice in numbered.values())]
        more = [numbered[number] for number in sorted(numbered)]
        return [{column: choice.get(column, column) for column in varying} for choice in ({}, *more)]

    def _check_split(self) -> None:
        if self._mapping.split == "":
            raise FileFault([], "--split: say what separates the candidates, such as --split ';'")
        if self._mapping.split and len(self._choices[0]) > 1:
            raise FileFault([], f"--split: say which column holds the candidates: --candidates {self._key()}")

    def _check_columns(self) -> None:
        if unknown := [name for name in self._shared if name not in self._types]:
            raise FileFault(
                [],
                f"{self._collection.name} has no column {', '.join(unknown)}, only {', '.join(self._types)}; "
                "leave a column out by --skip",
            )

    def _key(self) -> str:
        return " and ".join(self._collection.key)

    def _rows(self, choice: dict[str, str], cells: list[str]) -> list[Any]:
        if self._mapping.split:
            [(column, name)] = choice.items()
            parts = [part.strip() for part in cells[self._places[name]].split(self._mapping.split)]
            return [self._row({column: self._value(column, part)}) for part in parts if part]
        numbered = {column: name for column, name in choice.items() if name != column}
        own = self._values(numbered, cells)
        if numbered and not own:
            return []
        # What a further choice leaves empty is as in the first one.
        values = self._values({column: column if column not in own else choice[column] for column in choice}, cells)
        return [self._row(values)] if values else []

    def _row(self, values: dict[str, Any]) -> Any:
        return values[self._collection.key[0]] if len(self._collection.key) == 1 else values

    def _values(self, columns: dict[str, str], cells: list[str]) -> dict[str, Any]:
        found = {column: cells[self._places[name]] for column, name in columns.items() if name in self._places}
        return {column: self._value(column, cell) for column, cell in found.items() if cell}

    def _value(self, column: str, cell: str) -> Any:
        return None if cell == self._mapping.null else typed(cell, self._types[column])


def typed(cell: str, types: frozenset[str]) -> Any:
    """`cell` as one of the JSON `types`; as it is where it is none of them, for the server to refuse."""
    if types == ANY:
        return _json(cell)
    if "string" in types:
        return cell
    text = cell.strip()
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if "boolean" in types:
        return TRUTHS.get(text.lower(), cell)
    return cell


def _json(cell: str) -> Any:
    try:
        return json.loads(cell, parse_constant=_no_json)
    except ValueError:
        return cell


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def types_of(collection: Collection) -> dict[str, frozenset[str]]:
    """The JSON types that each column takes, by the collection's JSON schema."""
    schema = collection.add_schema
    row = _resolved(schema["properties"]["values"], schema)
    return {name: _types(column, schema) for name, column in row["properties"].items()}


def _types(column: dict[str, Any], schema: dict[str, Any]) -> frozenset[str]:
    column = _resolved(column, schema)
    choices = [_resolved(choice, schema) for choice in column.get("anyOf", [column])]
    named = [_type_of(choice) for choice in choices]
    return ANY if None in named else frozenset(name for name in named if name)


def _type_of(choice: dict[str, Any]) -> str | None:
    """None where anything goes; an enumeration is one of strings."""
    return "string" if "enum" in choice or "const" in choice else choice.get("type")


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    return part if reference is None else schema["$defs"][reference.rpartition("/")[2]]
