"""The question's route as a naive arq worker: it keeps no receipt, so whoever delivers again inserts again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.question.database import Animal

Sessions = async_sessionmaker[AsyncSession]


async def add(ctx: dict[str, Any], names: Sequence[str]) -> str | None:
    async with ctx["sessions"]() as session:
        for name in names:
            session.add(Animal(name=name))
            try:
                await session.flush()
            except IntegrityError:
                await session.rollback()
                continue
            await session.commit()
            return name
    return None


async def names_of(sessions: Sessions) -> list[str]:
    async with sessions() as session:
        return list(await session.scalars(select(Animal.name).order_by(Animal.name)))
