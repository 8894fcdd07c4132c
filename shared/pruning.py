"""Old receipts go away, in steps so small that nobody waits for one.

Each step is a transaction of its own: find where the next receipts end, in the order of the index on `finished_at`
and `id`, and delete those among them that are meant. A step begins where the last one ended, so it never walks
over what is already deleted, and whatever breaks off, what was committed stays done.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract import Status
from shared.database import Database
from shared.models import UtcDateTime
from shared.queue import KEEP_TICKET
from shared.receipts import TABLE

SAFE_AGE = KEEP_TICKET
"""For so long the queue may still hold a job that has its receipt: handed out once more without it, it would run
again and might insert a second row."""

Place = tuple[datetime, UUID]


@dataclass(frozen=True)
class Meant:
    """Which receipts are to go: those of jobs that ended before `before`, of one collection, of one status."""

    before: datetime
    collection: str | None = None
    status: Status | None = None

    @property
    def _narrower(self) -> list[ColumnElement[bool]]:
        named = {"collection": self.collection, "status": self.status}
        return [TABLE.c[name] == value for name, value in named.items() if value is not None]

    async def count(self, database: Database) -> int:
        async with database.reads() as session:
            counted = select(func.count()).where(TABLE.c.finished_at < self.before, *self._narrower)
            return int((await session.execute(counted.select_from(TABLE))).scalar_one())

    async def prune(self, database: Database, *, batch: int, pause_s: float) -> AsyncIterator[int]:
        """Delete them, looking at `batch` receipts a step, and tell after each step how many went."""
        after: Place | None = None
        while True:
            async with database.writes.begin() as session:
                until = await self._next_place(session, after, batch)
                if until is None:
                    return
                gone = await session.execute(delete(TABLE).where(*_between(after, until), *self._narrower))
            yield gone.rowcount  # type: ignore[attr-defined]  # a DELETE's result has it
            after = until
            await asyncio.sleep(pause_s)

    async def _next_place(self, session: AsyncSession, after: Place | None, batch: int) -> Place | None:
        """Where the step that follows on `after` ends; None where nothing is left."""
        order = [TABLE.c.finished_at, TABLE.c.id]
        page = select(*order).where(*_between(after, None), TABLE.c.finished_at < self.before)
        ordered = page.order_by(*order).limit(batch).subquery()
        last = select(ordered).order_by(*(ordered.c[column.name].desc() for column in order)).limit(1)
        found = (await session.execute(last)).first()
        return None if found is None else (found.finished_at, found.id)


def _between(after: Place | None, until: Place | None) -> list[ColumnElement[bool]]:
    """Past `after`, up to `until`, in the order of the index."""
    bounds: list[Any] = []
    if after is not None:
        moment, id_ = _bound(after)
        bounds += [TABLE.c.finished_at >= moment, or_(TABLE.c.finished_at > moment, TABLE.c.id > id_)]
    if until is not None:
        moment, id_ = _bound(until)
        bounds += [
            TABLE.c.finished_at <= moment,
            or_(TABLE.c.finished_at < moment, and_(TABLE.c.finished_at == moment, TABLE.c.id <= id_)),
        ]
    return bounds


def _bound(place: Place) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return literal(place[0], UtcDateTime()), literal(place[1], TABLE.c.id.type)
