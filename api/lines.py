"""The lines of a body that is too long to be held."""

from collections.abc import AsyncIterator


async def lines_of(parts: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes | None]:
    """Each line without its end, as it arrives; None in the place of one with more than `limit` bytes.

    Holds at most one line and one part of the body. What follows on the last line end counts as a line if it is
    not empty.
    """
    held = bytearray()
    too_long = False
    async for part in parts:
        first, *others = part.split(b"\n")
        # Never held + part: a line that comes byte by byte would be copied as often as it has bytes.
        held += first if len(held) <= limit else b""
        for line in others:
            yield None if too_long or len(held) > limit else bytes(held)
            held, too_long = bytearray(line), False
        if len(held) > limit:
            held, too_long = bytearray(), True
    if held or too_long:
        yield None if too_long else bytes(held)
