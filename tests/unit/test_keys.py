"""What a key looks like, and what a limit does."""

import re

import pytest

from shared.database import Database
from shared.keys import NAME, PREFIX, hash_of, id_in, is_well_formed, read_keys
from shared.rates import Rate
from tests.keys import make_key, with_another_secret

# What a scanner for secrets would look for.
FORM = re.compile(r"dibs_[0-9a-z]{10}_[0-9A-Za-z]{38}")


async def test_a_key_has_one_form_and_only_its_hash_is_kept(sqlite_database: Database) -> None:
    texts = [await make_key(sqlite_database, "ada") for _ in range(50)]
    async with sqlite_database.reads() as session:
        kept = {key.id: key for key in await read_keys(session)}
    for text in texts:
        assert FORM.fullmatch(text)
        assert is_well_formed(text.encode())
        key = kept[(id_in(text.encode()) or b"").decode()]
        assert key.hash == hash_of(text.encode())
        assert text not in repr(key)
    assert len({text[len(PREFIX) + 11 :] for text in texts}) == 50


async def test_a_mistyped_key_is_not_well_formed(sqlite_database: Database) -> None:
    text = await make_key(sqlite_database, "ada")
    wrong = [with_another_secret(text), text[:-1], text + "x", text.replace("dibs_", "dibz_"), text.upper(), ""]
    assert not any(is_well_formed(key.encode()) for key in wrong)


@pytest.mark.parametrize("name", ["a", "shop-1", "Ada.Lovelace@example.org", "team:shop", "x" * 64])
def test_a_caller_may_be_called_so(name: str) -> None:
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "?", "-x", "a b", "a\n", "a\0b", "ä", "x" * 65, "[red]"])
def test_a_caller_may_not_be_called_so(name: str) -> None:
    assert not NAME.fullmatch(name)


@pytest.mark.parametrize(
    ("text", "quota", "window_s"),
    [("1000/second", 1000, 1), (" 5 / Minute ", 5, 60), ("1/hour", 1, 3600), ("1000000/day", 1_000_000, 86_400)],
)
def test_a_rate_is_read_and_written(text: str, quota: int, window_s: int) -> None:
    rate = Rate.parse(text)
    assert rate == Rate(quota, window_s)
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize("text", ["", "5", "0/second", "-1/second", "5/week", "1.5/second", "1000001/second", "5/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="must look like 1000/second"):
        Rate.parse(text)
