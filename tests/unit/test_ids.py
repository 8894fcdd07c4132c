"""Ids: fresh ones in the order of time, keyed ones for ever the same."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.ids import as_id, keyed_id, new_id


def test_fresh_ids_differ_and_grow_with_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [i.int >> 80 for i in ids] == sorted(i.int >> 80 for i in ids)
    assert {(i.version, i.variant) for i in ids} == {(7, "specified in RFC 4122")}


def test_a_key_has_the_same_id_in_every_release() -> None:
    assert keyed_id("alice", "order 1") == UUID("f7ef855f-5c65-8faa-bc7f-4fc40a211ec5")


@given(st.text(), st.text())
def test_a_keyed_id_is_a_version_8_uuid(caller: str, key: str) -> None:
    made = keyed_id(caller, key)
    assert (made.version, made.variant) == (8, "specified in RFC 4122")
    assert made == keyed_id(caller, key)


def test_keys_of_different_callers_are_different() -> None:
    pairs = [("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", ""), ("a", "b"), ("b", "a")]
    assert len({keyed_id(*pair) for pair in pairs}) == len(pairs)


def test_only_an_id_is_read_as_one() -> None:
    made = new_id()
    assert as_id(str(made)) == made
    assert as_id(str(made).upper()) == made
    others = ("", "x", str(made)[:-1], "animals", made.hex, made.urn, f"{{{made}}}", f"{made}\n", f"0x{made.hex[2:]}")
    assert [as_id(text) for text in others] == [None] * len(others)
