"""Outages: really provoked, sorted as outages, so that no job pays for them."""

import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import text

from shared.database import Database, open_database
from shared.faults import Fault, FaultClass, sort_fault
from tests.services import PrivatePostgres, free_port
from tests.waiting import until


@pytest.fixture(scope="module")
def own_server() -> Iterator[PrivatePostgres]:
    """A cluster that these tests may stop."""
    with PrivatePostgres() as server:
        yield server


async def fault_in(work: Awaitable[object]) -> Fault:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which error it is, is what the sorting says
        await work
    return sort_fault(caught.value)


async def ask(database: Database) -> None:
    async with database.reads() as session:
        await session.execute(text("SELECT 1"))


async def closing(database: Database) -> Fault:
    try:
        assert not await database.answers()
        return await fault_in(ask(database))
    finally:
        await database.close()


async def test_a_refused_connection_is_an_outage() -> None:
    fault = await closing(open_database(f"postgresql+asyncpg://dibs@127.0.0.1:{free_port()}/dibs"))
    assert fault.kind is FaultClass.OUTAGE


async def test_a_host_that_cannot_be_found_is_an_outage() -> None:
    fault = await closing(open_database("postgresql+asyncpg://dibs@no-such-host.invalid/dibs"))
    assert fault.kind is FaultClass.OUTAGE


async def test_a_file_that_cannot_be_opened_is_an_outage(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    fault = await closing(open_database(f"sqlite+aiosqlite:///{tmp_path}/none/dibs.db"))
    assert (fault.kind, fault.code) == (FaultClass.OUTAGE, "SQLITE_CANTOPEN")

    async def has_no_driver_thread() -> bool:
        """After a failed connect aiosqlite ends its thread by itself, and the thread still speaks to the loop."""
        return not any("_connection_worker_thread" in thread.name for thread in set(threading.enumerate()) - before)

    await until(has_no_driver_thread)


@pytest.mark.postgresql
async def test_a_database_that_is_not_there_is_an_outage(postgres_server: PrivatePostgres) -> None:
    fault = await closing(open_database(postgres_server.url("none")))
    assert (fault.kind, fault.code) == (FaultClass.OUTAGE, "3D000")


@pytest.mark.postgresql
@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_stops_in_the_middle_of_a_transaction_is_an_outage(
    own_server: PrivatePostgres, mode: Literal["fast", "immediate"]
) -> None:
    database = open_database(own_server.url())
    try:
        async with database.writes() as session:
            await session.execute(text("SELECT 1"))
            own_server.stop(mode)
            try:
                fault = await fault_in(session.execute(text("SELECT 1")))
                gone = await fault_in(ask(database))
            finally:
                own_server.start()
        assert (fault.kind, gone.kind) == (FaultClass.OUTAGE, FaultClass.OUTAGE)
    finally:
        await database.close()


@pytest.mark.postgresql
async def test_a_session_that_the_server_ends_is_an_outage_and_the_next_works(postgresql_database: Database) -> None:
    async with postgresql_database.reads() as session:
        own = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with postgresql_database.reads() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": own})

        fault = await fault_in(session.execute(text("SELECT 1")))

    assert fault.kind is FaultClass.OUTAGE
    assert await postgresql_database.answers()
