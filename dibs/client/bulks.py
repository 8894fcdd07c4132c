"""Many adds as one bulk: its lines are sent some at a time, and their outcomes are read behind them.

Every line has its number in the bulk, and the bulk has a key: some lines that were sent twice are taken in once, so
a connection that breaks costs no more than the lines that were under way. What is held at a time is one part of the
lines and one page of the outcomes, however long the stream is.
"""

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Any
from uuid import UUID, uuid4

from dibs.client import calls, requests
from dibs.client.answers import Bulk
from dibs.client.asking import Asking, check
from dibs.client.errors import Garbled, TimedOut
from dibs.client.outcomes import Outcome, end_of
from dibs.client.steps import Draw, Give, Gives, Open, Pause, Steps, Stream
from shared.contract import JobView

PART = 1000
"""Lines that are sent at a time, at most,"""
FIRST_PART = 100
"""and at first: a server may take no more than some a second from this caller, and holds the others back."""
PART_BYTES = 512 * 1024
"""How many bytes are sent at a time, but for the last line."""
QUICK_S = 1.0
SLOW_S = 4.0
"""An answer that is quicker, or slower, changes how many lines are sent next."""
PAGE = 500
"""Outcomes that are read at a time."""
AHEAD = 10_000
"""Lines that may be sent before their outcomes are read: workers are kept busy, and the queue is not flooded."""
LOOK_S = 1.0
"""How long the outcomes that are due may hold up the stream."""


def add_many(
    asking: Asking[Any], stream: Stream, *, to: str | None = None, key: str | None = None, timeout: float | None = None
) -> Gives[Outcome]:
    """Add everything in `stream`, and give the outcomes in its order, while it is still being read.

    An item is an `Add`, a candidate alone, or a list of candidates in order of preference. No more than 10,000 items
    are read ahead of the outcomes, and few are held: the stream may be endless. Where it is not async it must not wait
    for an outcome itself. An item that the server finds wrong ends as `Failed`, the others go on.

    A connection that breaks is mended. After anything worse, such as a crash, the same stream can be given again
    from its start under the same `key`: what was taken in is not taken in twice, and the outcomes come from the first
    on. Another stream under that key is `Refused`.

    Raises `TimedOut` when the next outcome lets wait for it longer than `timeout` seconds, and what `add` raises.
    """
    key = key or uuid4().hex
    source = yield Open(stream)
    pace = Pace()
    sent = given = 0
    ended = False
    bulk: Bulk | None = None
    due_since = asking.clock()
    while not ended or given < sent:
        if not ended and sent - given < AHEAD:
            part = Part(sent, pace.lines)
            ended = yield Draw(source, part.take, is_patient=given == sent)
            if part.lines or (ended and sent):
                begun = asking.clock()
                bulk = yield from send(asking, to, key, part.lines, after=sent, more=not ended)
                pace.took(asking.clock() - begun)
            due_since = asking.clock() if given == sent else due_since
            sent += len(part.lines)
            if part.is_full and not ended:
                continue
        if bulk is None or given == sent:
            continue
        views, pending = yield from _due(asking, bulk, given, min(PAGE, sent - given))
        if views:
            given += len(views)
            due_since = asking.clock()
        elif timeout is not None and asking.clock() - due_since > timeout:
            raise TimedOut(f"no outcome of no. {given + 1} after {timeout:g} seconds", pending)
        for view in views:
            yield Give(end_of(view))


class Pace:
    """How many lines to send at a time, so that each answer comes within some seconds."""

    def __init__(self) -> None:
        self.lines = FIRST_PART

    def took(self, seconds: float) -> None:
        if seconds > SLOW_S:
            self.lines = max(1, self.lines // 2)
        elif seconds < QUICK_S:
            self.lines = min(PART, self.lines * 2)


class Part:
    """The lines that follow on line `after`, until there are `most` of them, or enough bytes."""

    def __init__(self, after: int, most: int = PART) -> None:
        self.lines: list[bytes] = []
        self._after = after
        self._most = most
        self._size = 0

    @property
    def is_full(self) -> bool:
        return len(self.lines) >= self._most or self._size >= PART_BYTES

    def take(self, wish: requests.Wish) -> bool:
        """Add `wish`, and say whether there is room for more; raises `Unsendable`."""
        return self.take_line(requests.as_line(wish, self._after + len(self.lines) + 1))

    def take_line(self, line: bytes) -> bool:
        self.lines.append(line)
        self._size += len(line)
        return not self.is_full


def send(
    asking: Asking[Any], collection: str | None, key: str, lines: Sequence[bytes], *, after: int, more: bool
) -> Steps[Bulk]:
    """Send the lines that follow on line `after` of the bulk, with `more` to come or not; and how far it is then."""
    return (yield from asking.read(requests.to_send_lines(collection, key, lines, after=after, more=more), Bulk))


def count(asking: Asking[Any], bulk: UUID) -> Steps[Bulk]:
    """How many jobs of the bulk stand where."""
    return (yield from asking.read(requests.for_bulk(bulk), Bulk))


def results(asking: Asking[Any], bulk: UUID, *, after: int, limit: int) -> Steps[list[JobView | None]]:
    """The jobs of the lines that follow on line `after`; None where nothing can be said of one now."""
    response = yield from asking.answer(requests.for_results(bulk, after=after, limit=limit))
    check(response)
    try:
        found = [json.loads(line) for line in response.content.splitlines()]
        return [JobView.model_validate(job) if "status" in job else None for job in found]
    except ValueError:
        raise Garbled(f"{response.url} answered with something that is not the outcomes of a bulk") from None


def _due(asking: Asking[Any], bulk: Bulk, after: int, limit: int) -> Steps[tuple[list[JobView], JobView | None]]:
    """The jobs that follow on line `after` and have ended, up to the first that has not; and that one."""
    last = yield from results(asking, bulk.id, after=after + limit - 1, limit=1)
    if last and last[0] is not None:
        yield from calls.watch(asking, last[0], timeout=LOOK_S)
    else:
        yield Pause(LOOK_S)
    views = yield from results(asking, bulk.id, after=after, limit=limit)
    ended = [view for view in takewhile(_has_ended, views) if view is not None]
    return ended, views[len(ended)] if len(ended) < len(views) else None


def _has_ended(view: JobView | None) -> bool:
    return view is not None and view.status.is_outcome
