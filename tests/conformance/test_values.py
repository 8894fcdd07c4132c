"""Values on every database: stored as given, told as JSON, alike wherever they are kept."""

from datetime import UTC, datetime

import pytest

from shared.contract import Status
from shared.database import Database
from tests.build import HANDLES, add_tenants, make_handle_job, rows_of
from worker.batch import end_jobs

# SQLAlchemy warns that SQLite keeps decimals as floats; two places survive that.
pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.+does .not. support Decimal:sqlalchemy.exc.SAWarning")

GIVEN = {
    "plan": "paid",
    "email": "ada@example.org",
    "fee": "12.50",
    "starts_on": "2026-02-28",
    "expires_at": "2026-03-01T09:00:00.5+09:00",
    "tags": {"a": [1, 2.5, None, True, "é🐈"]},
}


async def test_a_row_is_told_as_it_was_given(database: Database) -> None:
    await add_tenants(database, "acme")
    [receipt] = (await end_jobs(database.writes, HANDLES, [make_handle_job("acme", "ada", **GIVEN)], tries=1)).values()

    assert receipt.status is Status.SUCCEEDED
    row = dict(receipt.result or {})
    assert datetime.fromisoformat(row.pop("created_at")).year >= 2026
    assert row.pop("id") == 1
    assert datetime.fromisoformat(row.pop("expires_at")) == datetime(2026, 3, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    expected = {"tenant": "acme", "handle": "ada", "owner": "Ada"} | GIVEN
    del expected["expires_at"]
    assert row == expected


async def test_what_is_not_given_is_the_default_of_the_table(database: Database) -> None:
    await add_tenants(database, "acme")
    await end_jobs(database.writes, HANDLES, [make_handle_job("acme", "ada")], tries=1)

    [row] = await rows_of(database, HANDLES)
    assert (row["plan"], row["email"], row["tags"], row["fee"]) == ("free", None, None, None)
    assert isinstance(row["created_at"], datetime)


async def test_a_null_that_is_given_is_stored(database: Database) -> None:
    await add_tenants(database, "acme")
    job = make_handle_job("acme", "ada", email=None, tags=None, expires_at=None)

    [receipt] = (await end_jobs(database.writes, HANDLES, [job], tries=1)).values()

    assert receipt.status is Status.SUCCEEDED
    [row] = await rows_of(database, HANDLES)
    assert (row["email"], row["tags"], row["expires_at"]) == (None, None, None)
