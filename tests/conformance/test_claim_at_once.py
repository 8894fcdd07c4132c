"""A lone job on PostgreSQL: its row and its receipt in one statement that commits by itself."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import BigInteger, CheckConstraint, QueuePool, SmallInteger, String, Text, UniqueConstraint, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.collections import Collection
from shared.contract import Job, Status
from shared.database import Database
from shared.faults import FaultClass
from shared.receipts import Receipt, write_receipts
from shared.registry import collection_of
from tests.build import ANIMALS, make_job, make_wishes, names_of, receipts_of, rows_of
from tests.waiting import held_name, until_blocked
from worker.batch import Interrupted, end_jobs
from worker.claim import claim

pytestmark = pytest.mark.postgresql


class Base(DeclarativeBase):
    pass


class Seat(Base):
    """Each type that JSON spells as PostgreSQL does, and names that the statement has a use for itself."""

    __tablename__ = "first"
    __table_args__ = (UniqueConstraint("won", "given"), CheckConstraint("first < 100", name="few"))
    __dibs_key__ = ("won", "given")

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    won: Mapped[str] = mapped_column(String(20))
    given: Mapped[uuid.UUID]
    first: Mapped[int] = mapped_column(SmallInteger)
    content: Mapped[str | None] = mapped_column(Text)
    witnessed: Mapped[bool]
    place: Mapped[int | None] = mapped_column(BigInteger)
    receipts: Mapped[str] = mapped_column(server_default="none")


class Slot(Base):
    """A type that PostgreSQL spells in JSON in a way of its own."""

    __tablename__ = "slots"
    __dibs_key__ = ("name",)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    since: Mapped[datetime]


def collection(model: type[DeclarativeBase]) -> Collection:
    found = collection_of(model)
    assert found
    return found


@pytest.fixture
async def database(postgresql_database: Database) -> Database:
    async with postgresql_database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return postgresql_database


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is executed meanwhile."""
    seen: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    def see_at_once(statement: str) -> AbstractContextManager[None]:
        seen.append(statement)
        return nullcontext()

    assert database.at_once
    before, database.at_once.around = database.at_once.around, see_at_once
    event.listen(database.writer.sync_engine, "before_cursor_execute", see)
    yield seen
    event.remove(database.writer.sync_engine, "before_cursor_execute", see)
    database.at_once.around = before


async def claimed(database: Database, job: Job, collection: Collection = ANIMALS) -> Receipt:
    """What `claim` returns for a job that it takes for a fresh one."""
    wishes = make_wishes(collection, [job])
    [receipt] = (
        await claim(database.writes, collection, wishes, tries=1, fresh=True, at_once=database.at_once)
    ).values()
    return receipt


async def stored(database: Database, job: Job) -> Receipt:
    return (await receipts_of(database, [job]))[job.id]


async def test_it_is_one_statement_and_the_receipt_tells_the_row(database: Database) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    with statements(database) as seen:
        receipt = await claimed(database, job)

    assert len(seen) == 1
    assert (receipt.status, receipt.choice, receipt.tries) == (Status.SUCCEEDED, 0, 1)
    assert [receipt.result] == await rows_of(database, ANIMALS)
    assert receipt == await stored(database, job)


async def test_the_first_free_one_wins(database: Database) -> None:
    for name in ("Max", "Robby"):
        await claimed(database, make_job(ANIMALS, [name]))
    receipt = await claimed(database, make_job(ANIMALS, ["Robby", "Max", "Zoe", "Abby"]))
    assert receipt.choice == 2
    assert await names_of(database) == ["Max", "Robby", "Zoe"]


async def test_where_all_are_taken_it_is_exhausted(database: Database) -> None:
    await claimed(database, make_job(ANIMALS, ["Max"]))
    receipt = await claimed(database, make_job(ANIMALS, ["Max", "Max"]))
    assert receipt.status is Status.EXHAUSTED
    assert await names_of(database) == ["Max"]


async def test_who_loses_its_candidate_in_the_last_moment_gets_the_next(database: Database) -> None:
    async with held_name(database, "Max") as winner:
        loser = asyncio.create_task(claimed(database, make_job(ANIMALS, ["Max", "Cody"])))
        await until_blocked(database)
        await winner.commit()
    assert (await loser).choice == 1
    assert await names_of(database) == ["Cody", "Max"]


async def test_a_receipt_that_there_is_stands_and_no_row_is_left(database: Database) -> None:
    job = make_job(ANIMALS, ["Max"])
    async with database.writes.begin() as session:
        await write_receipts(session, [Receipt.cancelled(job, "animals", tries=0)])
    assert (await claimed(database, job)).status is Status.CANCELLED
    assert (await stored(database, job)).status is Status.CANCELLED
    assert await names_of(database) == []


async def test_the_same_job_at_the_same_moment_has_one_answer(database: Database) -> None:
    """A lease that ran out: one comes for the first time, and another looks for receipts first, and finds none."""
    job = make_job(ANIMALS, ["Max", "Cody"])
    async with held_name(database, "Max"):
        fresh = asyncio.create_task(claimed(database, job))
        await until_blocked(database)
        again = asyncio.create_task(claim(database.writes, ANIMALS, make_wishes(ANIMALS, [job]), tries=1))
        await until_blocked(database, sessions=2)
    assert {job.id: await fresh} == await again == await receipts_of(database, [job])
    assert await names_of(database) == ["Max"]


async def test_every_type_that_is_spelled_alike_is_told_as_by_the_common_way(database: Database) -> None:
    seats = collection(Seat)
    row = {
        "given": str(uuid.uuid4()),
        "first": -(2**15),
        "content": 'a "quote", a \\, a \u2028, an é and a 😀',
        "witnessed": True,
        "place": 2**63 - 1,
    }
    at_once, common = (make_job(seats, [{"won": "A"}, {"won": "B"}], row) for _ in range(2))
    with statements(database) as seen:
        told = await claimed(database, at_once, seats)
    assert len(seen) == 1
    assert told.result == (await stored(database, at_once)).result
    [other] = (await claim(database.writes, seats, make_wishes(seats, [common]), tries=1)).values()
    assert told.result
    assert other.result
    assert (told.choice, other.choice) == (0, 1)
    assert told.result == other.result | {"id": told.result["id"], "won": "A"}
    assert [*told.result] == [*other.result] == seats.names


async def test_nulls_are_nulls(database: Database) -> None:
    seats = collection(Seat)
    row = {"given": str(uuid.uuid4()), "first": 1, "content": None, "witnessed": False, "place": None}
    job = make_job(seats, [{"won": "A"}], row)
    told = await claimed(database, job, seats)
    assert told.result == (await stored(database, job)).result
    assert told.result
    assert (told.result["content"], told.result["place"], told.result["witnessed"]) == (None, None, False)


async def test_what_is_spelled_otherwise_goes_the_common_way(database: Database) -> None:
    slots = collection(Slot)
    job = make_job(slots, ["A"], {"since": "2026-01-02T03:04:05.600000"})
    with statements(database) as seen:
        told = await claimed(database, job, slots)
    assert len(seen) > 1
    assert told.result == (await stored(database, job)).result
    assert told.result
    assert told.result["since"] == "2026-01-02T03:04:05.600000"


async def test_what_a_constraint_refuses_is_failed_as_by_the_common_way(database: Database) -> None:
    seats = collection(Seat)
    row = {"given": str(uuid.uuid4()), "first": 100, "witnessed": True}
    errors = []
    for at_once in (database.at_once, None):
        job = make_job(seats, [{"won": "A"}], row)
        receipts = await end_jobs(database.writes, seats, [job], tries=1, fresh=True, at_once=at_once)
        errors.append(receipts[job.id].error)
    assert errors[0] == errors[1]
    assert errors[0]
    assert errors[0].constraint == "few"


async def end_sessions(database: Database) -> None:
    """The server ends whatever `database` has open."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    elsewhere = create_async_engine(database.writer.url)
    async with elsewhere.connect() as connection:
        await connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
    await elsewhere.dispose()


async def test_a_connection_that_was_lost_is_an_outage_and_not_used_again(database: Database) -> None:
    await claimed(database, make_job(ANIMALS, ["Max"]))
    await end_sessions(database)
    job = make_job(ANIMALS, ["Cody"])

    with pytest.raises(Interrupted) as stop:
        await end_jobs(database.writes, ANIMALS, [job], tries=1, fresh=True, at_once=database.at_once)

    assert stop.value.fault.kind is FaultClass.OUTAGE
    assert (await claimed(database, job)).status is Status.SUCCEEDED
    assert await names_of(database) == ["Cody", "Max"]


async def test_a_cancel_takes_the_statement_back_and_leaves_no_connection_behind(database: Database) -> None:
    async with held_name(database, "Max"):
        waiting = asyncio.create_task(claimed(database, make_job(ANIMALS, ["Max"])))
        await until_blocked(database)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert isinstance(pool := database.writer.sync_engine.pool, QueuePool)
        assert pool.checkedout() == 1, "beside the one that holds the name"
    assert (await claimed(database, make_job(ANIMALS, ["Max"]))).status is Status.SUCCEEDED
    assert pool.checkedout() == 0


async def test_a_lock_that_somebody_holds_for_long_is_a_passing_fault(database: Database) -> None:
    job = make_job(ANIMALS, ["Max"])
    async with held_name(database, "Max"):
        with pytest.raises(Interrupted) as stop:
            await end_jobs(database.writes, ANIMALS, [job], tries=1, fresh=True, at_once=database.at_once)
    assert (stop.value.fault.kind, stop.value.fault.code) == (FaultClass.PASSING, "55P03")
