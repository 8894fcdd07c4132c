"""Pages of receipts on every database: exactly what is wanted, in order, whatever is written meanwhile."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import text

from shared import receipt_pages
from shared.contract import Status
from shared.database import Database
from shared.receipt_pages import Place, Wanted, read_page
from shared.receipts import WITHOUT_CONTENT, Receipt, write_receipts
from tests.build import ANIMALS, make_job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OUTCOMES = (Status.SUCCEEDED, Status.FAILED, Status.EXHAUSTED, Status.CANCELLED)
COLLECTIONS = ("animals", "handles")
CALLERS = ("", "shop", "bar")


def make_receipt(random: Random, seconds: int) -> Receipt:
    job = make_job(ANIMALS, ["Max"])
    made = Receipt.exhausted(job, random.choice(COLLECTIONS), tries=1)
    # Many end at the very same moment.
    at = NOON + timedelta(seconds=seconds)
    return replace(made, status=random.choice(OUTCOMES), caller=random.choice(CALLERS), finished_at=at)


def make_receipts(random: Random, count: int) -> list[Receipt]:
    return [make_receipt(random, random.randrange(count // 4)) for _ in range(count)]


async def write(database: Database, receipts: Iterable[Receipt]) -> None:
    async with database.writes.begin() as session:
        await write_receipts(session, receipts)


async def walk(database: Database, wanted: Wanted, limit: int, *more: Sequence[Receipt]) -> list[Receipt]:
    """All pages; what is in `more` is written between them."""
    found: list[Receipt] = []
    after: Place | None = None
    for page_number in itertools.count():
        async with database.reads() as session:
            page = await read_page(session, wanted, after, limit)
        assert len(page.receipts) <= limit
        found += page.receipts
        if page.next is None:
            return found
        assert after is None or page.next < after
        after = page.next
        if page_number < len(more):
            await write(database, more[page_number])
    raise AssertionError("unreachable")


def expected(receipts: Iterable[Receipt], wanted: Wanted) -> list[Receipt]:
    chosen = [
        replace(one, content=None)
        for one in receipts
        if (not wanted.statuses or one.status in wanted.statuses)
        and wanted.collection in {None, one.collection}
        and wanted.caller in {None, one.caller}
        and (wanted.since is None or one.finished_at >= wanted.since)
        and (wanted.until is None or one.finished_at < wanted.until)
    ]
    return sorted(chosen, key=lambda one: (one.finished_at, one.id), reverse=True)


ALL_WANTED = [
    Wanted(frozenset(statuses), collection, caller, since, until)
    for statuses in ((), (Status.FAILED,), (Status.EXHAUSTED, Status.CANCELLED), (Status.SUCCEEDED, Status.FAILED))
    for collection in (None, "handles")
    for caller in (None, "shop")
    for since, until in ((None, None), (NOON + timedelta(seconds=5), NOON + timedelta(seconds=30)))
]


@pytest.mark.parametrize("look_through", [4, 5_000])
async def test_every_page_has_what_is_wanted_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch, look_through: int
) -> None:
    monkeypatch.setattr(receipt_pages, "LOOK_THROUGH", look_through)
    receipts = make_receipts(Random(1), 160)
    await write(database, receipts)
    for wanted in ALL_WANTED:
        assert await walk(database, wanted, 7) == expected(receipts, wanted), wanted


async def test_nothing_is_lost_or_doubled_while_new_ones_arrive(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipt_pages, "LOOK_THROUGH", 6)
    random = Random(2)
    old = make_receipts(random, 80)
    await write(database, old)
    for wanted in (Wanted(), Wanted(caller="shop", collection="handles"), Wanted(frozenset({Status.FAILED}))):
        # Some are newer than all, some end up in the middle of what was read and of what was not.
        new = [[make_receipt(random, random.randrange(40)) for _ in range(3)] for _ in range(10)]
        found = await walk(database, wanted, 3, *new)
        assert len({one.id for one in found}) == len(found)
        there = {one.id for one in old}
        assert [one for one in found if one.id in there] == expected(old, wanted)
        old += [one for some in new for one in some]
        written = {one.id for one in await walk(database, Wanted(), 100)}
        old = [one for one in old if one.id in written]


async def test_content_is_not_read(database: Database) -> None:
    receipts = [Receipt.exhausted(make_job(ANIMALS, ["Max"]), "animals", tries=1)]
    await write(database, receipts)
    assert receipts[0].content
    assert [one.content for one in await walk(database, Wanted(), 7)] == [None]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Wanted(), "finished_at_id"),
        (Wanted(collection="handles"), "collection_finished_at_id"),
        (Wanted(caller="shop"), "caller_finished_at_id"),
        (Wanted(caller="shop", collection="handles"), "caller_finished_at_id"),
        (Wanted(frozenset({Status.FAILED})), "status_finished_at_id"),
        (Wanted(frozenset({Status.FAILED}), collection="handles"), "collection_status_finished_at_id"),
        (Wanted(frozenset({Status.FAILED}), caller="shop"), "caller_status_finished_at_id"),
        (Wanted(frozenset({Status.FAILED}), "handles", "shop"), "caller_status_finished_at_id"),
    ],
)
async def test_there_is_an_index_that_has_the_order(postgresql_database: Database, wanted: Wanted, index: str) -> None:
    [one] = receipt_pages._ranges(wanted, Place(NOON, make_job(ANIMALS, ["Max"]).id))
    query = receipt_pages._newest_first(WITHOUT_CONTENT, *one.indexed).limit(21)
    indexes = text("SELECT indexname FROM pg_indexes WHERE tablename = 'receipts' AND indexname LIKE 'ix_%'")
    async with postgresql_database.reads() as session:
        names = (await session.execute(indexes)).scalars().all()
        for name in {*names} - {f"ix_receipts_{index}"}:
            await session.execute(text(f"DROP INDEX {name}"))
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        written = query.compile(dialect=session.get_bind().dialect, compile_kwargs={"literal_binds": True})
        connection = await session.connection()
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {written}")).scalars())
        await session.rollback()
    assert f"Index Scan Backward using ix_receipts_{index}" in plan
    assert "Sort" not in plan
