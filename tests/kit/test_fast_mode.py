"""The fast mode: the code under test may commit and roll back as it likes, and nothing remains."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.testing.fast import NotInFastMode, TransactionLost, TwoAtOnce
from shared.testing.faults import Faults
from tests.kit.naive import Sessions, names_of
from tests.question.database import Animal

pytestmark = pytest.mark.dibs(database=["sqlite", "memory", "postgresql"], mode="fast")


@pytest.mark.parametrize("time", ["first", "second"])
async def test_nothing_of_a_test_is_there_in_the_next(dibs_sessions: Sessions, time: str) -> None:
    assert await names_of(dibs_sessions) == []
    async with dibs_sessions.begin() as session:
        session.add(Animal(name="Max"))
    async with dibs_sessions() as session:
        session.add(Animal(name="Cody"))
        await session.flush()
        await session.rollback()
        session.add(Animal(name="Robby"))
        async with session.begin_nested() as nested:
            session.add(Animal(name="Bello"))
            await session.flush()
            await nested.rollback()
        await session.commit()
    assert await names_of(dibs_sessions) == ["Max", "Robby"]


async def test_an_error_ends_no_more_than_its_own_transaction(dibs_sessions: Sessions) -> None:
    async with dibs_sessions.begin() as session:
        session.add(Animal(name="Max"))
    with pytest.raises(IntegrityError):
        async with dibs_sessions.begin() as session:
            session.add_all([Animal(name="Cody"), Animal(name="Max")])
    assert await names_of(dibs_sessions) == ["Max"]


async def test_connections_without_a_session_are_held_to_it_as_well(
    dibs_engine: AsyncEngine, dibs_sessions: Sessions
) -> None:
    async with dibs_engine.begin() as connection:
        await connection.execute(text("INSERT INTO animals (name) VALUES ('Max')"))
    async with dibs_engine.connect() as connection:
        await connection.execute(text("INSERT INTO animals (name) VALUES ('Cody')"))
    assert await names_of(dibs_sessions) == ["Max"]


async def test_two_at_once_are_told_where_both_are(dibs_sessions: Sessions) -> None:
    async with dibs_sessions.begin() as first:
        await first.execute(text("SELECT 1"))
        with pytest.raises(TwoAtOnce) as caught:
            await names_of(dibs_sessions)
    assert "test_fast_mode.py" in str(caught.value)
    assert "in test_two_at_once_are_told_where_both_are" in str(caught.value)
    assert "naive.py" in str(caught.value)
    assert await names_of(dibs_sessions) == []


async def test_two_tasks_at_once_are_told_too(dibs_sessions: Sessions) -> None:
    async def read() -> None:
        async with dibs_sessions() as session:
            await session.execute(text("SELECT 1"))
            await asyncio.sleep(0)

    ended = await asyncio.gather(read(), read(), return_exceptions=True)
    assert [type(error) for error in ended] == [type(None), TwoAtOnce]


async def test_an_isolation_level_cannot_be_had(dibs_engine: AsyncEngine) -> None:
    with pytest.raises(NotInFastMode, match="SERIALIZABLE"):
        async with dibs_engine.connect() as connection:
            await connection.execution_options(isolation_level="SERIALIZABLE")


async def test_an_application_that_disposes_of_its_engine_does_no_harm(
    dibs_engine: AsyncEngine, dibs_sessions: Sessions
) -> None:
    async with dibs_sessions.begin() as session:
        session.add(Animal(name="Max"))
    await dibs_engine.dispose()
    assert await names_of(dibs_sessions) == ["Max"]


async def test_a_cancelled_statement_leaves_a_usable_connection(dibs_sessions: Sessions) -> None:
    async with dibs_sessions.begin() as session:
        session.add(Animal(name="Max"))

    async def count_for_ever() -> None:
        async with dibs_sessions.begin() as session:
            while True:
                await session.execute(text("SELECT count(*) FROM animals"))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(count_for_ever(), timeout=0.01)
    assert await names_of(dibs_sessions) == ["Max"]


@pytest.mark.dibs(database="postgresql", mode="fast")
@pytest.mark.parametrize("time", ["first", "second"])
async def test_a_lost_connection_is_replaced_for_the_next_test(
    dibs_sessions: Sessions, dibs_faults: Faults, time: str
) -> None:
    assert await names_of(dibs_sessions) == []
    dibs_faults.next_statement("lost connection", "select")
    with pytest.raises(Exception, match=r"closed|terminat"):
        await names_of(dibs_sessions)
    with pytest.raises(TransactionLost):
        await names_of(dibs_sessions)


@pytest.mark.dibs(database="sqlite", mode="fast")
def test_a_url_would_lead_past_the_transaction(request: pytest.FixtureRequest) -> None:
    with pytest.raises(NotInFastMode):
        request.getfixturevalue("dibs_url")
