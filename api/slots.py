"""A bound on how much of something this process holds at a time."""

from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """`limit` places; whoever finds none is told at once, and nobody queues.

    Counts within one event loop: there is no lock.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    @contextmanager
    def one(self) -> Iterator[bool]:
        """A place for as long as the block lasts; False where none was left."""
        if self.held >= self.limit:
            yield False
            return
        self.held += 1
        try:
            yield True
        finally:
            self.held -= 1
