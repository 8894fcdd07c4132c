"""Reading an add: what is right is kept in its order, what is wrong is pointed at."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.collections import Add, InvalidAdd, MalformedAdd
from shared.contract import MAX_CANDIDATES
from tests.build import ANIMALS, HANDLES, body

VALUES = {"tenant": "acme", "owner": "Ada"}


def pointers(collection: Any, raw: bytes) -> list[str]:
    with pytest.raises(InvalidAdd) as caught:
        collection.parse_add(raw)
    assert all(fault.detail for fault in caught.value.faults)
    return [fault.pointer for fault in caught.value.faults]


def test_a_plain_candidate_is_short_for_the_key_column() -> None:
    add = ANIMALS.parse_add(body(["Max", {"name": "Cody"}]))
    assert add == Add([{"name": "Max"}, {"name": "Cody"}], {})


def test_the_order_of_the_candidates_is_kept() -> None:
    names = [f"{n * 7919 % 1000}" for n in range(MAX_CANDIDATES)]
    assert [c["name"] for c in ANIMALS.parse_add(body(names)).candidates] == names


def test_candidates_and_values_are_kept_apart() -> None:
    add = HANDLES.parse_add(body([{"handle": "root", "plan": "paid"}, {"handle": "admin"}], VALUES))
    assert add.candidates == [{"handle": "root", "plan": "paid"}, {"handle": "admin"}]
    assert add.values == VALUES


@pytest.mark.parametrize("raw", [b"", b"{", b"[1,", b'{"candidates": ["a",]}', b'"\xff"', b"nope"])
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedAdd):
        ANIMALS.parse_add(raw)


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ([], ""),
        ({}, "/candidates"),
        ({"candidates": []}, "/candidates"),
        ({"candidates": "Max"}, "/candidates"),
        ({"candidates": ["Max"] * (MAX_CANDIDATES + 1)}, "/candidates"),
        ({"candidates": ["Max"], "more": 1}, "/more"),
        ({"candidates": ["Max", 1]}, "/candidates/1"),
        ({"candidates": ["Max", None]}, "/candidates/1"),
        ({"candidates": ["Max", ["Cody"]]}, "/candidates/1"),
        ({"candidates": ["x" * 256]}, "/candidates/0"),
        ({"candidates": ["a\0b"]}, "/candidates/0"),
        ({"candidates": [{"name": 1}]}, "/candidates/0/name"),
        ({"candidates": [{"name": "Max", "id": 1}]}, "/candidates/0/id"),
        ({"candidates": [{"name": "Max", "a/b~c": 1}]}, "/candidates/0/a~1b~0c"),
        ({"candidates": [{}]}, "/candidates/0/name"),
        ({"candidates": ["Max"], "values": {"colour": "red"}}, "/values/colour"),
        ({"candidates": ["Max"], "values": []}, "/values"),
    ],
)
def test_each_fault_is_pointed_at(content: Any, pointer: str) -> None:
    assert pointers(ANIMALS, orjson.dumps(content)) == [pointer]


@pytest.mark.parametrize(
    ("candidate", "values", "pointer"),
    [
        ("root", VALUES, "/candidates/0"),
        ({"handle": "root"}, {"tenant": "acme"}, "/candidates/0/owner"),
        ({"handle": "root"}, {"owner": "Ada"}, "/candidates/0/tenant"),
        ({"handle": "root"}, VALUES | {"fee": "1.234"}, "/values/fee"),
        ({"handle": "root"}, VALUES | {"owner": None}, "/values/owner"),
        ({"handle": "root"}, VALUES | {"expires_at": "2026-01-01T12:00:00"}, "/values/expires_at"),
        ({"handle": "root"}, VALUES | {"tags": {"a": "\0"}}, "/values/tags"),
        ({"handle": "x" * 41}, VALUES, "/candidates/0/handle"),
    ],
)
def test_each_fault_of_a_wider_row_is_pointed_at(candidate: Any, values: dict[str, Any], pointer: str) -> None:
    assert pointers(HANDLES, body([candidate], values)) == [pointer]


def test_an_unpaired_surrogate_is_not_taken() -> None:
    with pytest.raises((MalformedAdd, InvalidAdd)):
        ANIMALS.parse_add(rb'{"candidates": ["a\ud800"]}')


def test_many_faults_are_told_up_to_a_limit() -> None:
    assert 1 < len(pointers(ANIMALS, body([1] * 500))) <= 50
    assert 1 < len(pointers(HANDLES, body([{"handle": "a"}] * 500))) <= 50


@given(st.dictionaries(st.sampled_from(["owner", "plan", "email", "tenant"]), st.text("ab", max_size=10), min_size=4))
def test_equal_adds_have_equal_fingerprints_however_they_are_written(values: dict[str, str]) -> None:
    backwards = dict(reversed(values.items()))
    one = HANDLES.parse_add(orjson.dumps({"candidates": [{"handle": "a"}], "values": values}))
    other = HANDLES.parse_add(
        orjson.dumps({"values": backwards, "candidates": [{"handle": "a"}]}, option=orjson.OPT_INDENT_2)
    )
    assert one.fingerprint("handles") == other.fingerprint("handles")


def test_different_adds_have_different_fingerprints() -> None:
    adds = [
        ANIMALS.parse_add(body(["Max", "Cody"])).fingerprint("animals"),
        ANIMALS.parse_add(body(["Cody", "Max"])).fingerprint("animals"),
        ANIMALS.parse_add(body(["Max"])).fingerprint("animals"),
        ANIMALS.parse_add(body(["Max"], {"name": "Max"})).fingerprint("animals"),
        ANIMALS.parse_add(body(["Max"])).fingerprint("handles"),
    ]
    assert len(set(adds)) == len(adds)


def test_what_a_candidate_says_counts_more_than_the_values() -> None:
    [row] = HANDLES.rows([{"handle": "a", "plan": "paid"}], VALUES | {"plan": "free"})
    assert row == VALUES | {"handle": "a", "plan": "paid"}


def test_the_schema_takes_what_the_reading_takes_and_names_every_column() -> None:
    schema = ANIMALS.json_schema("#/$defs/{model}")
    assert schema["title"] == "Add to animals"
    assert schema["required"] == ["candidates"]
    assert schema["properties"]["candidates"]["maxItems"] == MAX_CANDIDATES
    assert "owner" in str(HANDLES.json_schema("#/$defs/{model}"))
