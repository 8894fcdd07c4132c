"""Pages of the jobs that wait, oldest first: what runs, runs next or waits too long comes first."""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple
from uuid import UUID

from shared.queue import Queue
from shared.tickets import Waiting

LOOK_THROUGH = 5_000
"""Waiting jobs that one page looks at: Redis has no index of whose they are and where they stand."""
LOOK_TOGETHER = 500


class WaitingPlace(NamedTuple):
    """Where a waiting job stands: when it was taken in, in ms, and its id; no id stands for all of that ms."""

    at_ms: int
    id: UUID | None


class WaitingPage(NamedTuple):
    """It may have fewer jobs than were asked for, or none, and still a `next`."""

    jobs: list[Waiting]
    next: WaitingPlace | None


async def read_waiting_page(
    queue: Queue, is_wanted: Callable[[Waiting], bool], after: WaitingPlace | None, limit: int
) -> WaitingPage:
    """The `limit` wanted jobs that follow on `after`, or the oldest.

    Exact while others come and go: none of those that wait all the while is left out or comes twice.
    """
    page: list[Waiting] = []
    # A place that is told is that of a wanted job, or of none: whoever asks may not see the others.
    last = WaitingPlace(0, None)
    looked_through, at_ms = 0, 0
    async for together in _in_order(queue, after):
        known = await queue.look_at([job for _, job in together])
        for now_ms, job in together:
            if looked_through >= LOOK_THROUGH and now_ms != at_ms:
                return WaitingPage(page, WaitingPlace(at_ms, None))
            looked_through, at_ms = looked_through + 1, now_ms
            if (waiting := known.get(job)) and is_wanted(waiting):
                if len(page) == limit:
                    return WaitingPage(page, last)
                page.append(waiting)
                last = WaitingPlace(now_ms, job)
    return WaitingPage(page, None)


async def _in_order(queue: Queue, after: WaitingPlace | None) -> AsyncIterator[list[tuple[int, UUID]]]:
    """The ids of all jobs that follow on `after`, some at a time, with when they were taken in.

    Goes from place to place and never by number: jobs leave meanwhile. Redis sorts what has the same score by its
    bytes, which are an id's text here.
    """
    count = LOOK_TOGETHER
    while True:
        least: str | int = "-inf" if after is None else after.at_ms if after.id else f"({after.at_ms}"
        found = await queue.redis.zrangebyscore(queue.waiting, least, "+inf", start=0, num=count, withscores=True)
        places = [(int(at_ms), raw.decode()) for raw, at_ms in found]
        if after is not None and after.id is not None:
            places = [place for place in places if place > (after.at_ms, str(after.id))]
        if places:
            yield [(at_ms, UUID(job)) for at_ms, job in places]
        if len(found) < count:
            return
        if places:
            after, count = WaitingPlace(places[-1][0], UUID(places[-1][1])), LOOK_TOGETHER
        else:
            count *= 2  # so many came in one ms
