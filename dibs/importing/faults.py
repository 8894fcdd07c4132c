"""What is wrong with a file as such, before anything of it is sent."""

from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """A wrong place: the number of the line, from 1, and what is wrong there."""

    line: int
    detail: str


class FileFault(Exception):  # noqa: N818
    """The file is not what it should be: `faults` are its wrong lines, or `text` says what is wrong as a whole."""

    def __init__(self, faults: Sequence[Fault], text: str | None = None) -> None:
        super().__init__(text or f"{len(faults)} lines are wrong")
        self.faults = faults
        self.text = text
