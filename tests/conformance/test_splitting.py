"""A batch with a job that the database refuses: that one fails by name, the others go on."""

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from shared.contract import Status
from shared.database import LOCK_TIMEOUT_S, Database
from shared.faults import FaultClass
from shared.problems import Kind
from tests.build import (
    ANIMALS,
    HANDLES,
    add_tenants,
    make_handle_job,
    make_job,
    names_of,
    receipts_of,
    rows_of,
)
from tests.waiting import held_name, impatient
from worker.batch import Interrupted, end_jobs

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "check": ({"plan": "gold"}, "ck_handles_plan"),
    "foreign key": ({"tenant": "nobody"}, "fk_handles_tenant"),
    "other unique key": ({"email": "taken@example.org"}, "uq_handles_email"),
}


FAILING_FUNCTION = """CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = 'ZZ001'; END $$"""
FAILING_TRIGGER = "CREATE TRIGGER odd BEFORE INSERT ON handles FOR EACH ROW EXECUTE FUNCTION odd()"


@pytest.fixture
async def acme(database: Database) -> Database:
    await add_tenants(database, "acme")
    first = make_handle_job("acme", "first", email="taken@example.org")
    await end_jobs(database.writes, HANDLES, [first], tries=1)
    return database


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", [0, 13, 19])
async def test_one_bad_job_among_twenty_fails_alone_and_by_name(acme: Database, bad: str, place: int) -> None:
    values, constraint = BAD[bad]
    jobs = [make_handle_job("acme", f"h{n}", **(values if n == place else {})) for n in range(20)]

    receipts = await end_jobs(acme.writes, HANDLES, jobs, tries=3)

    assert receipts == await receipts_of(acme, jobs)
    culprit = receipts.pop(jobs[place].id)
    assert (culprit.status, culprit.tries, culprit.result) == (Status.FAILED, 3, None)
    assert culprit.error
    assert (culprit.error.kind, culprit.error.constraint) == (Kind.REFUSED, constraint)
    assert {r.status for r in receipts.values()} == {Status.SUCCEEDED}
    handles = {row["handle"] for row in await rows_of(acme, HANDLES)}
    assert handles == {f"h{n}" for n in range(20) if n != place} | {"first"}


async def test_a_refused_job_does_not_walk_on_to_its_next_candidate(acme: Database) -> None:
    job = make_handle_job("acme", "a", "b", "c", plan="gold")

    [receipt] = (await end_jobs(acme.writes, HANDLES, [job], tries=1)).values()

    assert receipt.status is Status.FAILED
    assert [row["handle"] for row in await rows_of(acme, HANDLES)] == ["first"]


async def test_jobs_around_a_refused_one_keep_their_order(acme: Database) -> None:
    jobs = [
        make_handle_job("acme", "a", "b"),
        make_handle_job("acme", "a", plan="gold"),
        make_handle_job("acme", "a", "b"),
    ]

    receipts = await end_jobs(acme.writes, HANDLES, jobs, tries=1)

    assert [receipts[job.id].choice for job in jobs] == [0, None, 1]


async def test_a_refused_job_done_again_keeps_its_receipt(acme: Database) -> None:
    job = make_handle_job("acme", "a", plan="gold")
    first = await end_jobs(acme.writes, HANDLES, [job], tries=1)

    assert await end_jobs(acme.writes, HANDLES, [job], tries=2) == first


async def test_jobs_that_no_longer_fit_the_collection_fail_and_say_where(acme: Database) -> None:
    fine, old = make_handle_job("acme", "a"), make_handle_job("acme", "b")
    old = replace(old, values=old.values | {"colour": "red"})

    receipts = await end_jobs(acme.writes, HANDLES, [old, fine], tries=1)

    assert receipts[fine.id].status is Status.SUCCEEDED
    error = receipts[old.id].error
    assert error
    assert error.kind is Kind.INVALID
    assert [fault.pointer for fault in error.errors or ()] == ["/0/colour"]


async def test_a_table_that_is_not_there_yet_keeps_the_jobs(postgresql_database: Database) -> None:
    async with postgresql_database.writes.begin() as session:
        await session.execute(text("DROP TABLE handles"))

    with pytest.raises(Interrupted) as interrupted:
        await end_jobs(postgresql_database.writes, HANDLES, [make_handle_job("acme", "a")], tries=1)

    assert (interrupted.value.fault.kind, interrupted.value.fault.code) == (FaultClass.UNFIT, "42P01")


async def test_an_error_that_nobody_foresaw_fails_the_job_and_its_traceback_is_logged(
    acme: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with acme.writes.begin() as session:
        if acme.writer.dialect.name == "sqlite":
            await session.execute(text("ALTER TABLE handles RENAME COLUMN owner TO holder"))
        else:
            await session.execute(text(FAILING_FUNCTION))
            await session.execute(text(FAILING_TRIGGER))
    job = make_handle_job("acme", "a")

    [receipt] = (await end_jobs(acme.writes, HANDLES, [job], tries=1)).values()

    assert receipt.error
    assert receipt.error.kind is Kind.UNEXPECTED
    assert re.match("ZZ001|SQLITE_ERROR", receipt.error.detail)
    [record] = [r for r in caplog.records if str(job.id) in r.getMessage()]
    assert record.exc_info


async def test_a_claim_waits_for_a_lock_for_a_bounded_time(postgresql_database: Database) -> None:
    async with postgresql_database.writes() as session:
        assert await session.scalar(text("SHOW lock_timeout")) == f"{LOCK_TIMEOUT_S}s"


async def test_a_key_that_somebody_holds_keeps_nobody_else_waiting(
    postgresql_url: str, postgresql_database: Database
) -> None:
    """A lock that outlasts the timeout is a passing fault of one job; the others of its batch are ended."""
    database = postgresql_database
    jobs = [make_job(ANIMALS, [name]) for name in ("a", "b", "held", "c")]
    async with held_name(database, "held"), impatient(postgresql_url) as hurried:
        with pytest.raises(Interrupted) as interrupted:
            await end_jobs(hurried.writes, ANIMALS, jobs, tries=1)
        assert interrupted.value.fault.kind is FaultClass.PASSING
        assert await names_of(database) == ["a", "b", "c"]

    receipts = await end_jobs(database.writes, ANIMALS, jobs, tries=2)
    assert {receipt.status for receipt in receipts.values()} == {Status.SUCCEEDED}
