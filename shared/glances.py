"""What a list shows of a job's content: its first candidates, and how many there are."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contract import Row
from shared.receipts import TABLE

FIRST = 3


class Glance(NamedTuple):
    first: list[Row]
    of: int


async def glance_at(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, Glance]:
    """The first candidates of each of `ids` whose receipt has any; the rest of the content stays in the database."""
    candidates = TABLE.c.content["candidates"]
    firsts = [candidates[place].label(f"first_{place}") for place in range(FIRST)]
    query = select(TABLE.c.id, func.json_array_length(candidates), *firsts).where(TABLE.c.id.in_(ids))
    found = await session.execute(query)
    return {id_: Glance([row for row in rows if row is not None], count) for id_, count, *rows in found if count}
