"""The claim: give each job of a batch its first candidate still free, each row in one transaction with its receipt.

A batch is claimed in rounds, each a transaction of its own: read the receipts (in the first round of fresh jobs there
are none to expect), ask which candidates are taken, a few at a time, insert the first free one of each job with "on
conflict do nothing, returning", write the receipts of the jobs that are decided, commit. For a lone job the database
finds and inserts the first free one in one statement, and a fresh one has its receipt by the same. A job that lost
the race for its candidate goes round again. Since a round inserts its keys in one sorted sweep and commits before the
next, two workers that want the same keys wait for each other and never in a circle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from asyncpg import IntegrityConstraintViolationError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.at_once import AtOnce
from shared.clock import utc_now
from shared.collections import Collection
from shared.contract import Job, Row
from shared.database import Sessions
from shared.packing import Key
from shared.points import Point, reached
from shared.receipts import Receipt, read_receipts, witness_of, write_receipts
from shared.rows import find_among, insert_first_free, insert_first_free_at_once, insert_unless_taken, select_among

ASK_FURTHER = 32
"""How much further the database is asked where it said that a candidate is taken: three times are enough for any."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A job with its candidates, in order of preference, as rows that the database can take and as their keys."""

    job: Job
    rows: Sequence[Row]
    keys: Sequence[Key]

    @classmethod
    def of(cls, job: Job, collection: Collection) -> "Wish":
        """Raises `InvalidAdd` where a candidate does not fit the collection."""
        rows = collection.rows(job.candidates, job.values)
        return cls(job, rows, collection.keys_of(rows))


class Pick(NamedTuple):
    """A candidate that a job tries for: its key, its place in the add, the row itself."""

    key: Key
    wish: Wish
    choice: int

    @property
    def row(self) -> Row:
        return self.wish.rows[self.choice]


class _Superseded(Exception):  # noqa: N818
    """Another writer ended one of the jobs in the meantime: what this round inserted must not stay."""


class KeyChanged(Exception):  # noqa: N818
    """A trigger, say, wrote another key than it was given: whose row it is, only a job that claims alone can tell."""


async def claim(
    sessions: Sessions,
    collection: Collection,
    wishes: Iterable[Wish],
    *,
    tries: int,
    fresh: bool = False,
    at_once: AtOnce | None = None,
) -> dict[UUID, Receipt]:
    """Give each job its receipt and return them by id.

    A job that already had one keeps it. With `fresh` jobs, which are expected to have none, the first round does
    not ask: should one have a receipt after all, writing another tells it, and the round is rolled back. A lone one
    is claimed in one round trip where a statement may go and commit `at_once`.

    Raises whatever the database raises, and `KeyChanged`; then the round it came from is rolled back, and jobs of
    earlier rounds keep their receipts.
    """
    # A job may stand in two batches that are claimed together; its first place counts.
    firsts: dict[UUID, Wish] = {}
    for wish in wishes:
        firsts.setdefault(wish.job.id, wish)
    undecided = [*firsts.values()]
    if at_once is not None and fresh and len(undecided) == 1:
        try:
            receipt = await _at_once(at_once, collection, undecided[0], tries)
        except IntegrityConstraintViolationError:
            # A receipt that there was, or whatever a constraint has against the row: the common way tells which.
            fresh = False
        else:
            if receipt is not None:
                await reached(Point.COMMITTED, [receipt.id])
                return {receipt.id: receipt}
    ended: dict[UUID, Receipt] = {}
    lost: set[Key] = set()
    while undecided:
        try:
            async with sessions.begin() as session:
                known = {} if fresh else await read_receipts(session, [wish.job.id for wish in undecided])
                receipts, lost_now = await _round(session, collection, undecided, known, lost, tries)
        except _Superseded:
            continue
        finally:
            fresh = False
        await reached(Point.COMMITTED, receipts)
        ended |= receipts
        lost |= lost_now
        undecided = [wish for wish in undecided if wish.job.id not in ended]
    return ended


async def _round(
    session: AsyncSession,
    collection: Collection,
    wishes: Sequence[Wish],
    known: dict[UUID, Receipt],
    lost: set[Key],
    tries: int,
) -> tuple[dict[UUID, Receipt], set[Key]]:
    open_wishes = [wish for wish in wishes if wish.job.id not in known]
    receipts, lost_now = await _alone(session, collection, open_wishes, tries) if not lost else ([], set())
    if not receipts:
        receipts, lost_now = await _together(session, collection, open_wishes, lost, tries)
    await reached(Point.INSERTED, (wish.job.id for wish in open_wishes))
    if len(await write_receipts(session, receipts)) < len(receipts):
        raise _Superseded
    await reached(Point.WRITTEN, (receipt.id for receipt in receipts))
    return known | {r.id: r for r in receipts}, lost_now


Decided = tuple[list[Receipt], set[Key]]
"""Receipts that are still to be written, and the keys that somebody else had in the meantime."""


async def _at_once(way: AtOnce, collection: Collection, wish: Wish, tries: int) -> Receipt | None:
    """Row and receipt of a fresh job in one statement, where that is possible and leaves it something."""
    receipt = Receipt.succeeded(wish.job, collection.name, tries=tries, choice=0, row={})
    first = await insert_first_free_at_once(
        way, collection.table, collection.key, wish.rows, collection.names, witness_of(receipt)
    )
    if first is None:
        return None
    choice, row = first
    return replace(receipt, choice=choice, result=_shown(collection, row))


async def _alone(session: AsyncSession, collection: Collection, wishes: Sequence[Wish], tries: int) -> Decided:
    """Decide a lone job in one statement, where that is possible and leaves it something."""
    if len(wishes) != 1:
        return [], set()
    [wish] = wishes
    first = await insert_first_free(session, collection.table, collection.key, wish.rows, collection.names)
    if first is None:
        return [], set()
    choice, values = first
    row = _shown(collection, values)
    return [Receipt.succeeded(wish.job, collection.name, tries=tries, choice=choice, row=row)], set()


def _shown(collection: Collection, values: Sequence[Any]) -> Row:
    """A row as it came from the database, as callers see it."""
    return collection.to_json(dict(zip(collection.names, values, strict=True)))


async def _together(
    session: AsyncSession, collection: Collection, wishes: Sequence[Wish], lost: set[Key], tries: int
) -> Decided:
    """Ask which candidates are taken, and insert the first free one of each job."""
    picks, empty_handed = await _free(session, collection, wishes, lost)
    won = await _insert(session, collection, picks)
    at = utc_now()
    receipts = [Receipt.exhausted(wish.job, collection.name, tries=tries, at=at) for wish in empty_handed]
    receipts += [
        Receipt.succeeded(p.wish.job, collection.name, tries=tries, choice=p.choice, row=won[p.key], at=at)
        for p in picks
        if p.key in won
    ]
    return receipts, {p.key for p in picks if p.key not in won}


def plan(wishes: Iterable[Wish], taken: set[Key]) -> tuple[list[Pick], list[Wish]]:
    """Who tries for what: each job its first candidate not in `taken`, earlier jobs first, nobody the same.

    Returns the picks in the order of their keys, and the jobs for which nothing is left. Those are exhausted
    for good: a key that an earlier job picked here is taken, whether by that job or by whoever beats it.
    """
    gone = set(taken)
    picks: list[Pick] = []
    empty_handed: list[Wish] = []
    for wish in wishes:
        for place, key in enumerate(wish.keys):
            if key not in gone:
                gone.add(key)
                picks.append(Pick(key, wish, place))
                break
        else:
            empty_handed.append(wish)
    return sorted(picks, key=attrgetter("key")), empty_handed


async def _free(
    session: AsyncSession, collection: Collection, wishes: Sequence[Wish], lost: set[Key]
) -> tuple[list[Pick], list[Wish]]:
    """The `plan` by what is taken in the database, which is asked of each job as few candidates as that needs."""
    gone, asked, ahead = set(lost), set[Key](), 1
    while True:
        picks, empty_handed = plan(wishes, gone)
        unsure = [pick for pick in picks if pick.key not in asked]
        wanted = dict.fromkeys(key for pick in unsure for key in pick.wish.keys[pick.choice : pick.choice + ahead])
        taken = await _taken(session, collection, [*wanted], as_wanted=bool(lost)) if wanted else set()
        if not taken:
            return picks, empty_handed
        gone |= taken
        asked |= wanted.keys()
        ahead *= ASK_FURTHER


async def _taken(session: AsyncSession, collection: Collection, wanted: Sequence[Key], *, as_wanted: bool) -> set[Key]:
    """Those of `wanted` that are taken: as the database holds them, or, which costs more, as they are wanted.

    The two differ where a collation takes texts as equal that Python does not, such as Max and MAX.
    """
    columns = [collection.table.c[name] for name in collection.key]
    if as_wanted:
        return {tuple(row) for row in await find_among(session, columns, wanted)}
    return {tuple(row) for row in await select_among(session, columns, columns, wanted)}


async def _insert(session: AsyncSession, collection: Collection, picks: Sequence[Pick]) -> dict[Key, Row]:
    """Insert the picks in the order of their keys and return, by key, the rows of those that found it free.

    Raises `KeyChanged` where that cannot be told, because the database made another key of one.
    """
    names = collection.names
    won: dict[Key, Row] = {}
    # One statement takes one set of columns; neighbours with the same set go together and the order stays.
    for _, same in groupby(picks, key=lambda pick: tuple(pick.row)):
        rows = [pick.row for pick in same]
        inserted = await insert_unless_taken(session, collection.table, collection.key, rows, names)
        as_rows = [dict(zip(names, values, strict=True)) for values in inserted]
        won.update(zip(collection.keys_of(as_rows), map(collection.to_json, as_rows), strict=True))
    if won.keys() <= {pick.key for pick in picks}:
        return won
    if len(picks) > 1:
        raise KeyChanged
    return dict(zip([pick.key for pick in picks], won.values(), strict=True))
