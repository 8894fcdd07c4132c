"""Faults are the driver's own: class, code, constraint, and the state in which they leave the transaction."""

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, PendingRollbackError

from shared.faults import FaultClass, sort_fault
from shared.testing.choice import Choice
from shared.testing.faults import FaultName, Faults
from shared.testing.points import NeverHappened
from tests.kit.naive import Sessions, names_of
from tests.question.database import Animal

pytestmark = pytest.mark.dibs(database=["sqlite", "postgresql"], mode=["engine", "fast"])

CODES = {
    "deadlock": ("40P01", "SQLITE_BUSY", FaultClass.PASSING),
    "serialization failure": ("40001", "SQLITE_BUSY_SNAPSHOT", FaultClass.PASSING),
    "lock timeout": ("55P03", "SQLITE_BUSY_TIMEOUT", FaultClass.PASSING),
}


def code_of(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None))


@pytest.mark.parametrize("fault", CODES)
async def test_a_passing_fault_in_a_flush(
    dibs_sessions: Sessions, dibs_faults: Faults, dibs_choice: Choice, fault: FaultName
) -> None:
    dibs_faults.next_flush(fault)
    async with dibs_sessions() as session:
        session.add(Animal(name="Max"))
        with pytest.raises(DBAPIError) as caught:
            await session.flush()
        state, name, kind = CODES[fault]
        assert code_of(caught.value) == (state if dibs_choice.database == "postgresql" else name)
        assert sort_fault(caught.value).kind is kind
        with pytest.raises(PendingRollbackError):
            await session.execute(text("SELECT 1"))
        await session.rollback()
        session.add(Animal(name="Max"))
        await session.commit()
    assert await names_of(dibs_sessions) == ["Max"]


async def test_a_taken_name(dibs_sessions: Sessions, dibs_faults: Faults, dibs_choice: Choice) -> None:
    dibs_faults.next_flush("taken name")
    with pytest.raises(IntegrityError) as caught:
        async with dibs_sessions.begin() as session:
            session.add(Animal(name="Max"))
    orig = caught.value.orig
    if dibs_choice.database == "postgresql":
        cause = getattr(orig, "__cause__", None)
        assert (code_of(caught.value), cause.constraint_name) == ("23505", "animals_name_key")  # type: ignore[union-attr]
    else:
        assert (code_of(caught.value), str(orig)) == (
            "SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: animals.name",
        )  # fmt: skip


async def test_a_fault_of_a_statement_without_a_session(dibs_sessions: Sessions, dibs_faults: Faults) -> None:
    dibs_faults.next_statement("deadlock", "insert", table="animals")
    async with dibs_sessions() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(DBAPIError):
            await session.execute(insert(Animal), [{"name": "Max"}, {"name": "Cody"}])


@pytest.mark.dibs(database="postgresql", mode="engine")
async def test_an_insert_within_a_select_is_an_insert(dibs_sessions: Sessions, dibs_faults: Faults) -> None:
    dibs_faults.next_statement("deadlock", "insert", table="animals")
    inserted = insert(Animal).values(name="Max").returning(Animal.id).cte("inserted")
    async with dibs_sessions() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(DBAPIError):
            await session.execute(select(inserted.c.id))


async def test_the_server_has_aborted_the_transaction(
    dibs_sessions: Sessions, dibs_faults: Faults, dibs_choice: Choice
) -> None:
    dibs_faults.next_statement("deadlock")
    async with dibs_sessions() as session:
        with pytest.raises(DBAPIError):
            await session.execute(insert(Animal), {"name": "Max"})
        if dibs_choice.database == "postgresql":
            with pytest.raises(DBAPIError, match="current transaction is aborted"):
                await session.execute(text("SELECT 1"))
        else:
            await session.execute(text("SELECT 1"))


async def test_a_commit_that_fails_commits_nothing(dibs_sessions: Sessions, dibs_faults: Faults) -> None:
    dibs_faults.next_commit("serialization failure")
    with pytest.raises(DBAPIError) as caught:
        async with dibs_sessions.begin() as session:
            session.add(Animal(name="Max"))
    assert sort_fault(caught.value).kind is FaultClass.PASSING
    assert await names_of(dibs_sessions) == []


@pytest.mark.dibs(database=["sqlite", "postgresql"], mode="engine")
async def test_a_lost_connection_is_lost(dibs_sessions: Sessions, dibs_faults: Faults, dibs_choice: Choice) -> None:
    dibs_faults.next_flush("lost connection")
    with pytest.raises(DBAPIError) as caught:
        async with dibs_sessions.begin() as session:
            session.add(Animal(name="Max"))
    assert sort_fault(caught.value).kind is FaultClass.OUTAGE
    if dibs_choice.database == "postgresql":
        assert caught.value.connection_invalidated
    else:
        assert isinstance(caught.value, OperationalError)
    assert await names_of(dibs_sessions) == []


@pytest.mark.dibs(database="sqlite")
async def test_a_real_taken_name_looks_the_same(dibs_sessions: Sessions, dibs_faults: Faults) -> None:
    """What is made for SQLite, beside what SQLite says itself."""
    async with dibs_sessions.begin() as session:
        session.add(Animal(name="Max"))
    errors = []
    for prepared in (False, True):
        if prepared:
            dibs_faults.next_flush("taken name")
        with pytest.raises(IntegrityError) as caught:
            async with dibs_sessions.begin() as session:
                session.add(Animal(name="Max"))
        errors.append(caught.value)
    real, made = ((type(e.orig), str(e.orig), e.orig.sqlite_errorcode, str(e)) for e in errors)  # type: ignore[union-attr]
    assert made == real


@pytest.mark.dibs(database="postgresql")
async def test_a_real_taken_name_looks_the_same_on_postgresql(dibs_sessions: Sessions, dibs_faults: Faults) -> None:
    async with dibs_sessions.begin() as session:
        session.add(Animal(name="Max"))
    causes = []
    for prepared in (False, True):
        if prepared:
            dibs_faults.next_flush("taken name")
        with pytest.raises(IntegrityError) as caught:
            async with dibs_sessions.begin() as session:
                session.add(Animal(name="Max"))
        causes.append((type(caught.value), type(caught.value.orig), caught.value.orig.__cause__))  # type: ignore[union-attr]
    real, made = ((*kinds, type(c), c.sqlstate, c.message, c.constraint_name, c.table_name) for *kinds, c in causes)  # type: ignore[union-attr]
    assert made == real


def test_a_fault_that_nobody_met_fails_the_test() -> None:
    faults = Faults()
    faults.next_flush("deadlock")
    with pytest.raises(NeverHappened, match="deadlock at the next flush"):
        faults.check()
    with pytest.raises(ValueError, match="there is no fault 'flood'"):
        faults.next_commit("flood")  # type: ignore[arg-type]
