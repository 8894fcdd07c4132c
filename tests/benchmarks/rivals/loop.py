"""The job that every rival runs: the plain loop "flush, IntegrityError, rollback, next, commit"."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from sqlalchemy import String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

AT_A_TIME = 20
"""Jobs that a worker runs at a time, with as many database connections."""

ENQUEUERS = 32
"""Tasks that enqueue at a time, where a rival has no call for many jobs at once."""


class Base(DeclarativeBase):
    pass


class Animal(Base):
    __tablename__ = "animals"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)


Sessions = async_sessionmaker[AsyncSession]


@asynccontextmanager
async def open_sessions() -> AsyncIterator[Sessions]:
    """On the database under measure."""
    engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=AT_A_TIME, max_overflow=0)
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


def redis_url() -> str:
    return os.environ["BENCH_REDIS_URL"]


def candidates_of(adds: int) -> Iterable[list[str]]:
    """What each of `adds` adds would accept; its first candidate is free."""
    return ([f"a{number:08d}-{choice}" for choice in range(3)] for number in range(adds))


async def add(sessions: Sessions, candidates: list[str]) -> int | None:
    """Insert the first free candidate and return its id."""
    async with sessions() as session:
        for name in candidates:
            animal = Animal(name=name)
            session.add(animal)
            try:
                await session.flush()
            except IntegrityError:
                await session.rollback()
                continue
            await session.commit()
            return animal.id
    return None
