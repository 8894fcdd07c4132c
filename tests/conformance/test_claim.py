"""The claim on every database: the first free candidate, once, whoever else wants it."""

import asyncio
from typing import Self

from sqlalchemy import Connection, event

from shared.collections import Collection
from shared.contract import Job, Status
from shared.database import Database
from shared.receipts import Receipt
from tests.build import (
    ANIMALS,
    HANDLES,
    add_tenants,
    make_handle_job,
    make_job,
    make_wishes,
    names_of,
    receipts_of,
    rows_of,
)
from worker.claim import claim


async def claimed(database: Database, jobs: list[Job], collection: Collection = ANIMALS) -> list[Receipt]:
    """The receipts of one claim, in the order of `jobs`; what it returned is what is stored."""
    receipts = await claim(database.writes, collection, make_wishes(collection, jobs), tries=1)
    assert receipts == await receipts_of(database, jobs)
    return [receipts[job.id] for job in jobs]


async def take_names(database: Database, *names: str) -> None:
    taken = await claimed(database, [make_job(ANIMALS, [name]) for name in names])
    assert {receipt.status for receipt in taken} == {Status.SUCCEEDED}


async def test_the_first_candidate_wins_where_all_are_free(database: Database) -> None:
    [receipt] = await claimed(database, [make_job(ANIMALS, ["Max", "Cody", "Robby"])])

    [row] = await rows_of(database, ANIMALS)
    assert (receipt.status, receipt.choice, receipt.result, receipt.tries) == (Status.SUCCEEDED, 0, row, 1)
    assert row["name"] == "Max"


async def test_the_first_free_candidate_wins_whatever_its_name(database: Database) -> None:
    await take_names(database, "Max", "Abby")

    [receipt] = await claimed(database, [make_job(ANIMALS, ["Max", "Zoe", "Abby", "Cody"])])

    assert receipt.choice == 1
    assert await names_of(database) == ["Abby", "Max", "Zoe"]


async def test_a_job_whose_candidates_are_all_taken_is_exhausted(database: Database) -> None:
    await take_names(database, "Max", "Cody")

    [receipt] = await claimed(database, [make_job(ANIMALS, ["Max", "Cody"])])

    assert (receipt.status, receipt.result, receipt.choice, receipt.error) == (Status.EXHAUSTED, None, None, None)
    assert await names_of(database) == ["Cody", "Max"]


async def test_jobs_of_one_batch_share_their_candidates_in_the_order_of_arrival(database: Database) -> None:
    receipts = await claimed(database, [make_job(ANIMALS, ["Max", "Cody"]) for _ in range(3)])

    assert [r.choice for r in receipts] == [0, 1, None]
    assert [r.status for r in receipts] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.EXHAUSTED]
    assert [r.result and r.result["name"] for r in receipts] == ["Max", "Cody", None]


async def test_each_job_gets_the_row_that_is_its_own(database: Database) -> None:
    names = ["Zoe", "Max", "Abby", "Mia", "Cody"]

    receipts = await claimed(database, [make_job(ANIMALS, [name]) for name in names])

    assert [r.result and r.result["name"] for r in receipts] == names
    assert [r.result for r in receipts if r.result] == sorted(
        await rows_of(database, ANIMALS), key=lambda row: names.index(row["name"])
    )


async def test_a_batch_done_again_gets_the_same_receipts_and_no_more_rows(database: Database) -> None:
    jobs = [make_job(ANIMALS, ["Max", "Cody", "Robby"]), make_job(ANIMALS, ["Max", "Cody", "Robby"])]
    first = await claimed(database, jobs)

    assert await claimed(database, jobs) == first
    assert await names_of(database) == ["Cody", "Max"]


async def test_a_job_done_again_in_other_company_keeps_its_receipt(database: Database) -> None:
    old, new = make_job(ANIMALS, ["Max", "Cody"]), make_job(ANIMALS, ["Max", "Cody"])
    [first] = await claimed(database, [old])

    other, again = await claimed(database, [new, old])

    assert again == first
    assert other.choice == 1


async def test_a_job_twice_in_one_batch_gets_one_row(database: Database) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])

    async with asyncio.timeout(5):
        first, second = await claimed(database, [job, job])

    assert first == second
    assert await names_of(database) == ["Max"]


async def test_a_job_twice_in_one_batch_keeps_its_first_place(database: Database) -> None:
    job, other = make_job(ANIMALS, ["Max"]), make_job(ANIMALS, ["Max"])

    first, second, third = await claimed(database, [job, other, job])

    assert (first.status, second.status, third) == (Status.SUCCEEDED, Status.EXHAUSTED, first)


async def test_the_same_handle_is_free_at_another_tenant(database: Database) -> None:
    await add_tenants(database, "acme", "globex")
    jobs = [
        make_handle_job("acme", "root", "admin"),
        make_handle_job("globex", "root", "admin"),
        make_handle_job("acme", "root", "admin"),
    ]

    receipts = await claimed(database, jobs, HANDLES)

    assert [r.choice for r in receipts] == [0, 0, 1]
    keys = [(row["tenant"], row["handle"]) for row in await rows_of(database, HANDLES)]
    assert keys == [("acme", "admin"), ("acme", "root"), ("globex", "root")]


async def test_a_taken_pair_is_taken_though_other_pairs_share_its_parts(database: Database) -> None:
    await add_tenants(database, "acme", "globex")
    await claimed(database, [make_handle_job("acme", "root"), make_handle_job("globex", "admin")], HANDLES)

    [receipt] = await claimed(database, [make_handle_job("acme", "root", "admin")], HANDLES)

    assert receipt.choice == 1


async def test_rows_with_different_columns_travel_in_one_batch(database: Database) -> None:
    await add_tenants(database, "acme")
    jobs = [
        make_handle_job("acme", "ada", email="ada@example.org"),
        make_handle_job("acme", "bob"),
        make_handle_job("acme", "cyd", email="cyd@example.org", plan="paid"),
        make_handle_job("acme", "dan"),
    ]

    receipts = await claimed(database, jobs, HANDLES)

    given = [(r.result["handle"], r.result["email"], r.result["plan"]) for r in receipts if r.result]
    assert given == [
        ("ada", "ada@example.org", "free"),
        ("bob", None, "free"),
        ("cyd", "cyd@example.org", "paid"),
        ("dan", None, "free"),
    ]


async def test_two_more_statements_are_enough_however_many_candidates_are_taken(database: Database) -> None:
    costs = []
    for taken in (0, 1, 40, 450):
        names = [f"{taken} {n}" for n in range(500)]
        await claimed(database, [make_job(ANIMALS, [name]) for name in names[:taken]])
        with Statements(database) as statements:
            [receipt] = await claimed(database, [make_job(ANIMALS, names)])
        assert receipt.choice == taken
        costs.append(len(statements.seen))

    assert max(costs) <= costs[0] + 2


async def test_jobs_of_one_batch_find_what_is_free_far_behind_what_is_taken(database: Database) -> None:
    wanted = [[f"{job} {n}" for n in range(100)] for job in range(100)]
    await take_names(database, *(name for taken, names in enumerate(wanted) for name in names[:taken]))

    receipts = await claimed(database, [make_job(ANIMALS, names) for names in wanted])

    assert [receipt.choice for receipt in receipts] == list(range(100))


async def test_nobody_asks_for_candidates_behind_one_that_is_free(database: Database) -> None:
    with Statements(database) as statements:
        await claimed(database, [make_job(ANIMALS, [f"{job} first", f"{job} second"]) for job in range(10)])

    asked = [told for statement, told in statements.seen if statement.startswith("SELECT")]
    assert sum(told.count("first") for told in asked) == 10
    assert sum(told.count("second") for told in asked) == 0


class Statements:
    """The statements that a database is sent, BEGIN included where it is one, and their parameters as text."""

    def __init__(self, database: Database) -> None:
        self._engine = database.writer.sync_engine
        self.seen: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        event.listen(self._engine, "before_cursor_execute", self._see)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._see)

    def _see(self, _connection: Connection, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        self.seen.append((statement, repr(parameters)))
