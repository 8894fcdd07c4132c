"""Rows that a database refuses: sorted as such, and told by constraint or column."""

from typing import Any

import pytest
from sqlalchemy import insert

from shared.database import Database
from shared.faults import Fault, FaultClass, sort_fault
from shared.problems import Kind
from tests.build import HANDLES, add_tenants

ROW = {"tenant": "acme", "handle": "root", "owner": "Ada"}


async def fault_of(database: Database, *rows: dict[str, Any]) -> Fault:
    async def insert_all() -> None:
        async with database.writes.begin() as session:
            for row in rows:
                await session.execute(insert(HANDLES.table), [row])

    with pytest.raises(Exception) as caught:  # noqa: PT011  # which error it is, is what the sorting says
        await insert_all()
    return sort_fault(caught.value, HANDLES.table)


@pytest.fixture
async def acme(database: Database) -> Database:
    await add_tenants(database, "acme")
    return database


async def test_a_null_is_told_by_its_column(acme: Database) -> None:
    fault = await fault_of(acme, {"tenant": "acme", "handle": "root"})
    assert (fault.kind, fault.column) == (FaultClass.REFUSED, "owner")
    assert fault.code in {"23502", "SQLITE_CONSTRAINT_NOTNULL"}


async def test_a_failed_check_is_told_by_its_name(acme: Database) -> None:
    fault = await fault_of(acme, ROW | {"plan": "gold"})
    assert (fault.kind, fault.constraint) == (FaultClass.REFUSED, "ck_handles_plan")
    assert fault.code in {"23514", "SQLITE_CONSTRAINT_CHECK"}


async def test_another_unique_key_is_told_by_its_name(acme: Database) -> None:
    mine, other = ROW | {"email": "a@b.c"}, ROW | {"email": "a@b.c", "handle": "other"}
    fault = await fault_of(acme, mine, other)
    assert (fault.kind, fault.constraint) == (FaultClass.REFUSED, "uq_handles_email")
    assert fault.code in {"23505", "SQLITE_CONSTRAINT_UNIQUE"}


async def test_a_key_of_two_columns_is_told_by_its_name(acme: Database) -> None:
    fault = await fault_of(acme, ROW, ROW)
    assert (fault.kind, fault.constraint) == (FaultClass.REFUSED, "uq_handles_tenant_handle")


async def test_a_primary_key_is_told_by_its_name(acme: Database) -> None:
    fault = await fault_of(acme, ROW | {"id": 1}, ROW | {"id": 1, "handle": "other"})
    assert (fault.kind, fault.constraint) == (FaultClass.REFUSED, "pk_handles")


async def test_a_missing_parent_is_refused(acme: Database) -> None:
    fault = await fault_of(acme, ROW | {"tenant": "nobody"})
    assert fault.kind is FaultClass.REFUSED
    # SQLite does not say which foreign key it was; the batch finds that out.
    names = {"23503": "fk_handles_tenant", "SQLITE_CONSTRAINT_FOREIGNKEY": None}
    assert fault.constraint == names[fault.code]


async def test_what_is_refused_is_told_in_one_line_without_the_values_of_the_row(acme: Database) -> None:
    fault = await fault_of(acme, ROW | {"plan": "gold", "owner": "a secret"})
    told = fault.as_problem()
    assert (told.kind, told.constraint) == (Kind.REFUSED, "ck_handles_plan")
    assert "a secret" not in told.detail
    assert "\n" not in told.detail


@pytest.mark.postgresql
@pytest.mark.parametrize(("column", "value", "code"), [("handle", "x" * 41, "22001"), ("fee", 10**7, "22003")])
async def test_a_value_that_does_not_fit_its_column_is_refused(
    postgresql_database: Database, column: str, value: object, code: str
) -> None:
    await add_tenants(postgresql_database, "acme")
    fault = await fault_of(postgresql_database, ROW | {column: value})
    assert (fault.kind, fault.code) == (FaultClass.REFUSED, code)
