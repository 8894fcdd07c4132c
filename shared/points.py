"""Named points on the way of a job, at which a test may hold or kill the process.

Each stands where a death would leave something half done. In production nobody listens, and passing one costs a
look at a variable: once for each claim or request, not for each job of a batch.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from uuid import UUID


class Point(StrEnum):
    """The points in the order in which a job passes them."""

    ENQUEUED = "enqueued"
    """The api: Redis has confirmed the job, its caller knows nothing yet."""
    LEASED = "leased"
    """The worker has the lease, and has not started."""
    STARTED = "started"
    """The worker has a slot for the batch, and has asked the database nothing yet."""
    INSERTED = "inserted"
    """The rows are inserted, no receipt is written, nothing is committed. Not where one statement does it all."""
    WRITTEN = "written"
    """Rows and receipts are written, nothing is committed. Not where one statement does it all."""
    COMMITTED = "committed"
    """Rows and receipts are committed, Redis knows nothing of it."""
    TOLD = "told"
    """Who waits for the jobs was woken, the queue has not forgotten them."""
    FINISHED = "finished"
    """The queue has forgotten the batch."""
    SCATTERED = "scattered"
    """The jobs of a batch that kills were put back one by one, the batch is still in the queue."""
    STOPPING = "stopping"
    """The worker was told to stop and is about to hand a batch back."""
    CANCELLED = "cancelled"
    """The api: the receipt of a cancelled job is committed, Redis knows nothing of it."""


Listener = Callable[[Point, frozenset[UUID]], Awaitable[None]]

_listener: Listener | None = None


async def reached(point: Point, jobs: Iterable[UUID]) -> None:
    """Tell whoever listens that `jobs` are at `point`, and go on when it lets them."""
    if _listener is not None:
        await _listener(point, frozenset(jobs))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener` be called, and waited for, at every point of this process."""
    global _listener  # noqa: PLW0603  # a parameter through every layer would be production code for tests only
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before
