"""Pages of receipts, newest first: which receipts, from where on, and how far one page may look."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, literal, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract import Status
from shared.receipts import TABLE, WITHOUT_CONTENT, Receipt, from_row

LOOK_THROUGH = 2_000
"""Receipts that one page looks through where no index has all that is asked for."""


class Place(NamedTuple):
    """Where in the order of their ends a receipt stands."""

    finished_at: datetime
    id: UUID


@dataclass(frozen=True)
class Wanted:
    """Which receipts; None, and no status at all, mean any. `until` is the first moment that is too late."""

    statuses: frozenset[Status] = frozenset()
    collection: str | None = None
    caller: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Page(NamedTuple):
    """Receipts without their content. It may have fewer than were asked for, or none, and still a `next`."""

    receipts: list[Receipt]
    next: Place | None


@dataclass(frozen=True)
class _Range:
    """Receipts that stand together in an index, and what of them is to be left out."""

    indexed: tuple[ColumnElement[bool], ...]
    left_out: tuple[ColumnElement[bool], ...]


async def read_page(session: AsyncSession, wanted: Wanted, after: Place | None, limit: int) -> Page:
    """The `limit` receipts that follow on `after`, or the newest.

    Exact while new ones are written: none of those that were there when the first page was read is left out or
    comes twice.
    """
    ranges = [*_ranges(wanted, after)]
    ends = [end for one in ranges if one.left_out and (end := await _end_of_look(session, one))]
    end = max(ends, default=None)
    within = () if end is None else (_places() >= _place(end),)
    found: list[Receipt] = []
    for one in ranges:
        query = _newest_first(WITHOUT_CONTENT, *one.indexed, *one.left_out, *within).limit(limit + 1)
        found += [from_row(row._mapping) for row in await session.execute(query)]
    found.sort(key=_place_of, reverse=True)
    page = found[:limit]
    return Page(page, _place_of(page[-1]) if len(found) > limit else end)


async def _end_of_look(session: AsyncSession, one: _Range) -> Place | None:
    """Where a look through `one` has seen enough."""
    places = _newest_first([TABLE.c.finished_at, TABLE.c.id], *one.indexed)
    last = (await session.execute(places.offset(LOOK_THROUGH - 1).limit(1))).first()
    return None if last is None else Place(*last)


def _ranges(wanted: Wanted, after: Place | None) -> Iterator[_Range]:
    """A range for each status, but for the common one: that has no index of its own."""
    anywhere = tuple(_bounds(wanted, after))
    of_caller: tuple[ColumnElement[bool], ...] = ()
    of_collection: tuple[ColumnElement[bool], ...] = ()
    if wanted.caller is not None:
        # What makes the index a partial one is said in so many words: of a parameter the planner knows too little.
        of_caller = TABLE.c.caller == wanted.caller, TABLE.c.caller != literal_column("''")
    if wanted.collection is not None:
        of_collection = (TABLE.c.collection == wanted.collection,)
    # An index by collection, or one by caller: no index has both.
    owned = of_caller or of_collection
    left_out = of_collection if of_caller else ()
    if wanted.statuses and Status.SUCCEEDED not in wanted.statuses:
        for status in sorted(wanted.statuses):
            is_it = TABLE.c.status == status.value, TABLE.c.status != literal_column("'succeeded'")
            yield _Range((*owned, *is_it, *anywhere), left_out)
    else:
        if wanted.statuses:
            left_out = (*left_out, TABLE.c.status.in_([status.value for status in wanted.statuses]))
        yield _Range((*owned, *anywhere), left_out)


def _bounds(wanted: Wanted, after: Place | None) -> Iterator[ColumnElement[bool]]:
    if after is not None:
        yield _places() < _place(after)
    if wanted.since is not None:
        yield TABLE.c.finished_at >= wanted.since
    if wanted.until is not None:
        yield TABLE.c.finished_at < wanted.until


def _newest_first(columns: list[Any], *which: ColumnElement[bool]) -> Select[Any]:
    return select(*columns).where(*which).order_by(TABLE.c.finished_at.desc(), TABLE.c.id.desc())


def _places() -> Any:
    return tuple_(TABLE.c.finished_at, TABLE.c.id)


def _place(place: Place) -> Any:
    return tuple_(literal(place.finished_at, TABLE.c.finished_at.type), literal(place.id, TABLE.c.id.type))


def _place_of(receipt: Receipt) -> Place:
    return Place(receipt.finished_at, receipt.id)
