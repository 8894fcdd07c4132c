"""Keys that the database holds equal and Python does not, and keys that it makes others of."""

import asyncio
import unicodedata
from dataclasses import dataclass
from typing import Any, Self

import pytest
from sqlalchemy import Connection, MetaData, String, Table, UniqueConstraint, event, text
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.collections import Collection
from shared.contract import Job, Status
from shared.database import Database
from shared.receipts import Receipt
from shared.registry import collection_of
from tests.build import ANIMALS, make_job, make_wishes, names_of, receipts_of, rows_of
from tests.services import missing
from worker.batch import Interrupted, end_jobs
from worker.claim import claim

PATIENCE_S = 20
IGNORING_CASE = "ignoring_case"


def slugs(column_type: Any) -> Collection:
    """A collection whose key, of two columns, is of `column_type` in its second."""

    class Base(DeclarativeBase):
        metadata = MetaData()

    class Slug(Base):
        __tablename__ = "slugs"
        __table_args__ = (UniqueConstraint("site", "slug"),)
        id: Mapped[int] = mapped_column(primary_key=True)
        site: Mapped[str] = mapped_column(String(20))
        slug: Mapped[str] = mapped_column(column_type)

    made = collection_of(Slug)
    assert made is not None
    return made


def words(column_type: Any) -> Collection:
    """A collection whose key is one column of `column_type`."""

    class Base(DeclarativeBase):
        metadata = MetaData()

    class Word(Base):
        __tablename__ = "words"
        id: Mapped[int] = mapped_column(primary_key=True)
        word: Mapped[str] = mapped_column(column_type, unique=True)

    made = collection_of(Word)
    assert made is not None
    return made


@dataclass
class Ignoring:
    """A database and collections in it whose keys ignore case; `first` is what must be there before them."""

    database: Database
    words: Collection
    slugs: Collection
    first: str


async def create(database: Database, *tables: Table, first: str = "") -> None:
    async with database.writer.begin() as connection:
        if first:
            await connection.execute(text(first))
        for table in tables:
            await connection.run_sync(table.create)


@pytest.fixture(
    params=[
        pytest.param("NOCASE", marks=pytest.mark.sqlite),
        pytest.param("ICU", marks=pytest.mark.postgresql),
        pytest.param("citext", marks=pytest.mark.postgresql),
    ]
)
def kind(request: pytest.FixtureRequest) -> Ignoring:
    """Every way to ignore case, not created yet."""
    first, column_type = {
        "NOCASE": ("", String(40, collation="NOCASE")),
        "ICU": (
            f"CREATE COLLATION {IGNORING_CASE} (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
            String(40, collation=IGNORING_CASE),
        ),
        "citext": ("CREATE EXTENSION citext", CITEXT()),
    }[request.param]
    where = "sqlite" if request.param == "NOCASE" else "postgresql"
    database = request.getfixturevalue(f"{where}_database")
    return Ignoring(database, words(column_type), slugs(column_type), first)


@pytest.fixture
async def ignoring(kind: Ignoring) -> Ignoring:
    try:
        await create(kind.database, kind.words.table, kind.slugs.table, first=kind.first)
    except DBAPIError as error:
        missing(f"{kind.first}: {error.orig}: install the server's contrib package, built with ICU")
    return kind


async def claimed(database: Database, collection: Collection, *jobs: Job) -> list[Receipt]:
    async with asyncio.timeout(PATIENCE_S):
        receipts = await claim(database.writes, collection, make_wishes(collection, jobs), tries=1)
    assert receipts == await receipts_of(database, jobs)
    return [receipts[job.id] for job in jobs]


def word(collection: Collection, *candidates: str) -> Job:
    return make_job(collection, candidates)


def slug(collection: Collection, *candidates: str) -> Job:
    return make_job(collection, [{"slug": candidate} for candidate in candidates], {"site": "a"})


async def test_a_key_in_another_spelling_is_taken(ignoring: Ignoring) -> None:
    for collection, made in ((ignoring.words, word), (ignoring.slugs, slug)):
        await claimed(ignoring.database, collection, made(collection, "Max"))

        exhausted, second = await claimed(
            ignoring.database, collection, made(collection, "MAX", "max"), made(collection, "mAX", "Cody")
        )

        assert (exhausted.status, second.status, second.choice) == (Status.EXHAUSTED, Status.SUCCEEDED, 1)
        assert [row[collection.key[-1]] for row in await rows_of(ignoring.database, collection)] == ["Cody", "Max"]


async def test_two_spellings_in_one_batch_are_one_key(ignoring: Ignoring) -> None:
    for collection, made in ((ignoring.words, word), (ignoring.slugs, slug)):
        first, second = await claimed(
            ignoring.database, collection, made(collection, "max", "cody"), made(collection, "MAX", "CODY")
        )
        kept = {receipt.result[collection.key[-1]] for receipt in (first, second) if receipt.result}
        assert (first.status, second.status) == (Status.SUCCEEDED, Status.SUCCEEDED)
        assert {name.lower() for name in kept} == {"max", "cody"}


class Rounds:
    """How many transactions a database commits: a claim commits each round."""

    def __init__(self, database: Database) -> None:
        self._engine = database.writer.sync_engine
        self.count = 0

    def __enter__(self) -> Self:
        event.listen(self._engine, "commit", self._see)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "commit", self._see)

    def _see(self, _connection: Connection) -> None:
        self.count += 1


async def test_many_spellings_of_a_taken_key_cost_no_round_each(ignoring: Ignoring) -> None:
    spellings = ["".join(c.upper() if n >> i & 1 else c for i, c in enumerate("abcdefghij")) for n in range(1000)]
    for collection, made in ((ignoring.words, word), (ignoring.slugs, slug)):
        await claimed(ignoring.database, collection, made(collection, spellings[0]))
        with Rounds(ignoring.database) as rounds:
            [receipt] = await claimed(ignoring.database, collection, made(collection, *spellings))
        assert (receipt.status, rounds.count) == (Status.EXHAUSTED, 2)


async def test_workers_that_sort_otherwise_than_the_database_come_to_an_end(ignoring: Ignoring) -> None:
    """Python's order of keys is not the collation's, so two claims may deadlock: that is passing, and passes."""
    collection = ignoring.words
    ours = [word(collection, name) for n in range(20) for name in (f"A{n:02}", f"b{n:02}")]
    theirs = [word(collection, name) for n in range(20) for name in (f"a{n:02}", f"B{n:02}")]

    faults: set[str] = set()

    async def until_ended(jobs: list[Job]) -> dict[Any, Receipt]:
        while True:
            try:
                return await end_jobs(ignoring.database.writes, collection, jobs, tries=1)
            except Interrupted as stop:
                faults.add(stop.fault.code)

    async with asyncio.timeout(PATIENCE_S):
        mine, yours = await asyncio.gather(until_ended(ours), until_ended(theirs))

    assert faults <= {"40P01"}
    statuses = [receipt.status for receipt in (*mine.values(), *yours.values())]
    assert (statuses.count(Status.SUCCEEDED), statuses.count(Status.EXHAUSTED)) == (40, 40)


LOWER_ON_POSTGRESQL = (
    """CREATE FUNCTION lower_word() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.word := lower(NEW.word); RETURN NEW; END $$""",
    "CREATE TRIGGER lower_word BEFORE INSERT ON words FOR EACH ROW EXECUTE FUNCTION lower_word()",
)


@pytest.mark.postgresql
async def test_a_trigger_that_changes_the_key_costs_speed_and_never_a_second_row(
    postgresql_database: Database,
) -> None:
    collection = words(String(40))
    await create(postgresql_database, collection.table)
    async with postgresql_database.writer.begin() as connection:
        for statement in LOWER_ON_POSTGRESQL:
            await connection.execute(text(statement))
    jobs = [word(collection, "Max", "Cody"), word(collection, "MAX", "CODY"), word(collection, "MaX", "CoDY")]

    async with asyncio.timeout(PATIENCE_S):
        receipts = await end_jobs(postgresql_database.writes, collection, jobs, tries=1)
        again = await end_jobs(postgresql_database.writes, collection, jobs, tries=1)

    told = [receipts[job.id] for job in jobs]
    assert [(receipt.status, receipt.choice) for receipt in told] == [
        (Status.SUCCEEDED, 0),
        (Status.SUCCEEDED, 1),
        (Status.EXHAUSTED, None),
    ]
    assert [receipt.result and receipt.result["word"] for receipt in told] == ["max", "cody", None]
    assert [row["word"] for row in await rows_of(postgresql_database, collection)] == ["cody", "max"]
    assert again == receipts


async def test_two_forms_of_one_name_are_two_names(database: Database) -> None:
    """Nothing is normalised: what looks alike and is not the same code points is not the same key."""
    composed = unicodedata.normalize("NFC", "Zoe\u0308")
    alike = [composed, unicodedata.normalize("NFD", composed), f"{composed} ", f"{composed}\u200b", composed.upper()]
    assert len(set(alike)) == 5

    receipts = await claimed(database, ANIMALS, *(make_job(ANIMALS, [name]) for name in alike))

    assert [receipt.status for receipt in receipts] == [Status.SUCCEEDED] * 5
    assert sorted(await names_of(database)) == sorted(alike)


async def test_a_column_takes_as_many_code_points_as_it_says(database: Database) -> None:
    name = "🐈" * 255
    [receipt] = await claimed(database, ANIMALS, make_job(ANIMALS, [name]))
    assert receipt.result is not None
    assert receipt.result["name"] == name


@pytest.mark.postgresql
async def test_a_key_that_no_index_can_hold_is_refused_and_the_others_go_on(postgresql_database: Database) -> None:
    collection = words(String())
    await create(postgresql_database, collection.table)
    # What repeats itself is compressed, and would fit.
    large = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(5000))
    jobs = [word(collection, "small"), word(collection, large)]

    receipts = await end_jobs(postgresql_database.writes, collection, jobs, tries=1)

    assert receipts[jobs[0].id].status is Status.SUCCEEDED
    refused = receipts[jobs[1].id].error
    assert refused is not None
    assert (refused.type, refused.detail.partition(":")[0]) == ("/problems/refused-by-database", "54000")
