"""The lines of a body that is too long to be held."""

from collections.abc import AsyncIterator


async def lines_of(parts: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes | None]:
    """Each line without its end, as it arrives; None in the place of one with more than `limit` bytes.

    Holds at most one line and one part of the body. What follows on the last line end counts as a line if it is
    not empty.
    """
    held = b""
    too_long = False
    async for part in parts:
        *ended, held = (held + part).split(b"\n")
        for line in ended:
            yield None if too_long or len(line) > limit else line
            too_long = False
        if len(held) > limit:
            held, too_long = b"", True
    if held or too_long:
        yield None if too_long else held
