"""Faults that pass: really provoked, sorted as passing."""

import asyncio
from collections.abc import Awaitable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database import Database
from shared.faults import Fault, FaultClass, sort_fault
from tests.build import ANIMALS, make_job, make_wishes
from tests.waiting import held_name, impatient
from worker.claim import claim


async def fault_in(work: Awaitable[object]) -> Fault:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which error it is, is what the sorting says
        await work
    return sort_fault(caught.value)


async def rename(session: AsyncSession, name: str) -> None:
    await session.execute(text("UPDATE animals SET name = name || '!' WHERE name = :name"), {"name": name})


async def add_names(database: Database, *names: str) -> None:
    await claim(database.writes, ANIMALS, make_wishes(ANIMALS, [make_job(ANIMALS, [n]) for n in names]), tries=1)


async def test_who_waits_too_long_for_a_lock_may_try_again(database: Database, database_url: str) -> None:
    async with held_name(database, "Max"), impatient(database_url) as hasty:
        fault = await fault_in(add_names(hasty, "Max"))

    assert fault.kind is FaultClass.PASSING
    assert fault.code in {"55P03", "SQLITE_BUSY"}


@pytest.mark.postgresql
async def test_the_victim_of_a_deadlock_may_try_again(postgresql_database: Database) -> None:
    await add_names(postgresql_database, "Max", "Cody")
    locked = [asyncio.Event(), asyncio.Event()]

    async def cross(mine: int, first: str, second: str) -> None:
        async with postgresql_database.writes.begin() as session:
            await rename(session, first)
            locked[mine].set()
            await locked[1 - mine].wait()
            await rename(session, second)

    ends = await asyncio.gather(cross(0, "Max", "Cody"), cross(1, "Cody", "Max"), return_exceptions=True)

    [victim] = [end for end in ends if end is not None]
    fault = sort_fault(victim)
    assert (fault.kind, fault.code) == (FaultClass.PASSING, "40P01")


@pytest.mark.postgresql
async def test_a_serialization_failure_may_be_tried_again(postgresql_database: Database) -> None:
    await add_names(postgresql_database, "Max")
    async with postgresql_database.writes() as late:
        await late.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        await late.execute(text("SELECT * FROM animals"))
        async with postgresql_database.writes.begin() as early:
            await rename(early, "Max")

        fault = await fault_in(rename(late, "Max"))

    assert (fault.kind, fault.code) == (FaultClass.PASSING, "40001")


@pytest.mark.postgresql
async def test_a_statement_that_the_server_ended_for_its_time_may_be_tried_again(postgresql_database: Database) -> None:
    async with postgresql_database.writes() as session:
        await session.execute(text("SET LOCAL statement_timeout = '10ms'"))
        fault = await fault_in(session.execute(text("SELECT pg_sleep(30)")))

    assert (fault.kind, fault.code) == (FaultClass.PASSING, "57014")


@pytest.mark.sqlite
async def test_a_reader_that_cannot_become_a_writer_may_try_again(sqlite_database: Database) -> None:
    async with sqlite_database.reads() as reader:
        await reader.execute(text("SELECT * FROM animals"))
        await add_names(sqlite_database, "Max")

        fault = await fault_in(rename(reader, "Max"))

    assert (fault.kind, fault.code) == (FaultClass.PASSING, "SQLITE_BUSY_SNAPSHOT")
