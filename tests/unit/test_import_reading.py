"""How a file is read: rows and lines, their places, and the adds that are made of them."""

import codecs
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dibs.client.answers import Collection
from dibs.importing.faults import FileFault
from dibs.importing.input import opened
from dibs.importing.records import Record, Table, of_json, of_table
from dibs.importing.shape import Mapping, Shape, typed
from tests.build import COLLECTIONS


def collection(name: str) -> Collection:
    found = COLLECTIONS[name]
    return Collection(name=name, key=list(found.key), add_schema=found.json_schema("#/$defs/{model}"))


def read(path: Path, content: bytes, *, encoding: str = "utf-8", delimiter: str | None = None) -> list[Record]:
    path.write_bytes(content)
    with opened(str(path), encoding) as file:
        table = Table(file, delimiter)
        shape = Shape(collection("animals"), table.header, Mapping())
        return list(of_table(table, shape))


def adds(records: Sequence[Record]) -> list[tuple[int, Any]]:
    return [(record.line, json.loads(record.add)["candidates"]) for record in records]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("name,name_2\r\nJörg,J\r\nÅsa,\r\n".encode(), "utf-8"),
        (codecs.BOM_UTF8 + "name,name_2\nJörg,J\nÅsa,\n".encode(), "utf-8"),
        ("name;name_2\nJörg;J\nÅsa;".encode("cp1252"), "cp1252"),
        ("name\tname_2\nJörg\tJ\nÅsa\t\n".encode("utf-16"), "utf-8"),
        ('name|name_2\n"Jörg"|J\n\n\nÅsa|\n'.encode(), "UTF8"),
    ],
    ids=["crlf", "byte order mark", "semicolons", "utf-16", "blank lines"],
)
def test_tables_as_programs_write_them(tmp_path: Path, content: bytes, encoding: str) -> None:
    found = [candidates for _, candidates in adds(read(tmp_path / "t.csv", content, encoding=encoding))]
    assert found == [["Jörg", "J"], ["Åsa"]]


def test_a_row_is_told_by_the_line_on_which_it_begins(tmp_path: Path) -> None:
    content = b'name\na\n"b\nb"\n\nc\n'
    assert adds(read(tmp_path / "t.csv", content)) == [(2, ["a"]), (3, ["b\nb"]), (6, ["c"])]


def test_all_wrong_rows_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileFault) as caught:
        read(tmp_path / "t.csv", b"name,name_2\na,b\nc\nd,e,f\n")
    assert [fault.line for fault in caught.value.faults] == [3, 4]


def test_a_line_without_end_is_not_held(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with opened(str(tmp_path / "t.csv"), "utf-8") as found, pytest.raises(FileFault) as caught:
        Table(found, ",")
    assert "16 MiB" in caught.value.faults[0].detail


def test_a_file_that_is_written_to_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name\na\n")
    with opened(str(path), "utf-8") as found:
        found.check_unchanged()
        path.write_text("name\na\nb\n")
        with pytest.raises(FileFault, match="was changed"):
            found.check_unchanged()


def test_lines_of_json() -> None:
    lines = ['{"candidates": ["a"], "values": {}}', " ", '{"name": "b"}', '"c"', '["d", "e"]', "{", '{"candidates": 5}']
    assert [(record.line, record.add) for record in of_json(lines)] == [
        (1, b'{"candidates": ["a"], "values": {}}'),
        (3, b'{"candidates":[{"name": "b"}]}'),
        (4, b'{"candidates":["c"]}'),
        (5, b'{"candidates":["d", "e"]}'),
        (6, b"{"),
        (7, b'{"candidates":[{"candidates": 5}]}'),
    ]


HANDLES = ["tenant", "handle", "owner"]

SHAPES: list[tuple[str, list[str], Mapping, list[str], dict[str, Any]]] = [
    ("animals", ["name"], Mapping(), ["a"], {"candidates": ["a"]}),
    ("animals", ["name_3", "name", "name_2"], Mapping(), ["c", "a", "b"], {"candidates": ["a", "b", "c"]}),
    ("animals", ["name", "name_2"], Mapping(), ["", "b"], {"candidates": ["b"]}),
    ("animals", ["name"], Mapping(), [""], {"candidates": []}),
    ("animals", ["name"], Mapping(split=";"), ["a; b;;c "], {"candidates": ["a", "b", "c"]}),
    ("animals", ["x", "y"], Mapping(candidates="y,x"), ["a", "b"], {"candidates": ["b", "a"]}),
    ("animals", ["name", "id"], Mapping(skip=["id"]), ["a", "5"], {"candidates": ["a"]}),
    ("handles", HANDLES, Mapping(), ["t", "a", "Ada"],
     {"candidates": [{"tenant": "t", "handle": "a"}], "values": {"owner": "Ada"}}),
    ("handles", [*HANDLES, "handle_2"], Mapping(), ["t", "a", "Ada", "b"],
     {"candidates": [{"handle": "a"}, {"handle": "b"}], "values": {"tenant": "t", "owner": "Ada"}}),
    ("handles", [*HANDLES, "handle_2", "tenant_2"], Mapping(), ["t", "a", "Ada", "b", ""],
     {"candidates": [{"tenant": "t", "handle": "a"}, {"tenant": "t", "handle": "b"}], "values": {"owner": "Ada"}}),
    ("handles", HANDLES, Mapping(candidates="handle=handle", split=" "), ["t", "a b", "Ada"],
     {"candidates": [{"handle": "a"}, {"handle": "b"}], "values": {"tenant": "t", "owner": "Ada"}}),
    ("handles", [*HANDLES, "email"], Mapping(null="NULL"), ["t", "a", "Ada", "NULL"],
     {"candidates": [{"tenant": "t", "handle": "a"}], "values": {"owner": "Ada", "email": None}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "header", "mapping", "cells", "add"), SHAPES)
def test_the_columns_make_the_add(
    name: str, header: list[str], mapping: Mapping, cells: list[str], add: dict[str, Any]
) -> None:
    # As bytes: the key of an import comes from them.
    made = Shape(collection(name), header, mapping)(cells)
    assert made == json.dumps(add, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("name", "header", "mapping", "told"),
    [
        ("handles", HANDLES, Mapping(split=";"), "--candidates"),
        ("handles", HANDLES, Mapping(candidates="handle"), "handle=handle"),
        ("handles", HANDLES, Mapping(candidates="owner=handle"), "owner is not part of the key"),
        ("animals", ["name"], Mapping(candidates="nome"), "there is no column nome"),
        ("animals", ["name"], Mapping(split=""), "--split"),
    ],
)
def test_what_the_columns_do_not_say(name: str, header: list[str], mapping: Mapping, told: str) -> None:
    with pytest.raises(FileFault, match=told):
        Shape(collection(name), header, mapping)


@pytest.mark.parametrize(
    ("cell", "types", "value"),
    [
        ("5", {"integer"}, 5),
        (" -5 ", {"integer", "null"}, -5),
        ("5.0", {"integer"}, "5.0"),
        ("5.5", {"number"}, 5.5),
        ("1e999", {"number"}, "1e999"),
        ("1.50", {"number", "string"}, "1.50"),
        ("007", {"string"}, "007"),
        ("Yes", {"boolean"}, True),
        ("0", {"boolean", "null"}, False),
        ("maybe", {"boolean"}, "maybe"),
        ('{"a": 1}', set(), {"a": 1}),
        ("NaN", set(), "NaN"),
        ("text", set(), "text"),
    ],
)
def test_a_cell_becomes_what_its_column_takes(cell: str, types: set[str], value: Any) -> None:
    made = typed(cell, frozenset(types))
    assert (made, type(made)) == (value, type(value))
