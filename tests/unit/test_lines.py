"""Lines out of a body that comes in parts of any size."""

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.lines import lines_of

LIMIT = 10


async def in_parts(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(parts: Iterable[bytes]) -> list[bytes | None]:
    return [line async for line in lines_of(in_parts(parts), LIMIT)]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"x" * 10 + b"\n" + b"x" * 11 + b"\nb", [b"x" * 10, None, b"b"]),
        (b"x" * 11, [None]),
    ],
)
async def test_a_body_is_cut_at_its_line_ends(body: bytes, lines: list[bytes | None]) -> None:
    assert await read([body]) == lines


@given(st.lists(st.binary(max_size=25).map(lambda b: b.replace(b"\n", b"x"))), st.integers(1, 30))
async def test_how_it_is_cut_into_parts_makes_no_difference(lines: list[bytes], size: int) -> None:
    body = b"".join(line + b"\n" for line in lines)
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    assert await read(parts) == [line if len(line) <= LIMIT else None for line in lines]
