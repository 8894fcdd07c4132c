"""Columns of every type, and names that are not Python's: what goes in comes out the same on both databases."""

import uuid
from datetime import time
from decimal import Decimal
from typing import Any

import orjson
import pytest
from sqlalchemy import (
    JSON,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.collections import Collection, InvalidAdd
from shared.contract import Status
from shared.database import Database
from shared.registry import collection_of
from shared.rows import insert_unless_taken
from tests.build import make_job
from worker.batch import end_jobs

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.+does .not. support Decimal:sqlalchemy.exc.SAWarning")


class Base(DeclarativeBase):
    pass


class Coupon(Base):
    """A key that SQLAlchemy counts, a column whose name in the database is another, and JSON of any shape."""

    __tablename__ = "coupons"
    __dibs_key__ = ("coupon_code",)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    code: Mapped[str] = mapped_column("coupon_code", String(8), unique=True)
    batch: Mapped[uuid.UUID | None]
    content: Mapped[Any] = mapped_column(JSON, nullable=True)


found = collection_of(Coupon)
assert found
COUPONS: Collection = found


@pytest.fixture
async def coupons(database: Database) -> Database:
    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    return database


@pytest.mark.parametrize(
    "content", [5, 0.5, 1e5, "x", True, [], [5], ["x"], [1, 2], [[]], [[1], [2, 3]], [{"a": 1}], {}, {"a": [None, "é"]}]
)
async def test_json_of_any_shape_comes_back_as_it_was(coupons: Database, content: Any) -> None:
    jobs = [make_job(COUPONS, [{"coupon_code": code}], {"content": content}) for code in ("A", "B")]
    receipts = (await end_jobs(coupons.writes, COUPONS, jobs, tries=1)).values()
    assert [receipt.status for receipt in receipts] == [Status.SUCCEEDED] * 2
    assert [receipt.result and receipt.result["content"] for receipt in receipts] == [content] * 2


async def test_uuids_are_given_and_told_as_text(coupons: Database) -> None:
    batch = str(uuid.uuid4())
    job = make_job(COUPONS, ["A"], {"batch": batch})
    [receipt] = (await end_jobs(coupons.writes, COUPONS, [job], tries=1)).values()
    assert receipt.result
    assert receipt.result["batch"] == batch
    assert uuid.UUID(receipt.result["id"]).version == 4


async def test_a_missing_json_is_null_in_sql_where_the_column_says_so(database: Database) -> None:
    nulls = Table("nulls", MetaData(), Column("id", Integer, primary_key=True), Column("j", JSON(none_as_null=True)))
    async with database.writer.begin() as connection:
        await connection.run_sync(nulls.create)
    async with database.writes.begin() as session:
        await insert_unless_taken(session, nulls, ["id"], [{"id": 1, "j": None}, {"id": 2, "j": []}], ["id"])
        kept = await session.execute(nulls.select().where(nulls.c.j.cast(String).is_(None)))
        assert [row.id for row in kept] == [1]


TEXTS = ["", "null", "true", '"', "a\nb", "\\N", "{1,2}", "é🐈", "\x1f", " x "]


async def test_plain_values_of_many_rows_come_back_as_they_were(database: Database) -> None:
    table = Table(
        "plain",
        MetaData(),
        Column("key", Text, primary_key=True),
        Column("flag", Boolean),
        Column("number", BigInteger),
        Column("text", String(20)),
    )
    async with database.writer.begin() as connection:
        await connection.run_sync(table.create)
    plain = Collection("plain", table, ("key",))
    flags, numbers = [True, False, None], [0, -(2**63), 2**63 - 1, None]
    rows = [
        {"key": text, "flag": flags[place % 3], "number": numbers[place % 4], "text": [*TEXTS, None][-place]}
        for place, text in enumerate(TEXTS)
    ]
    receipts = await end_jobs(database.writes, plain, [make_job(plain, [row]) for row in rows], tries=1)
    assert [receipt.result for receipt in receipts.values() if receipt.result] == sorted_by_key(rows)
    again = await end_jobs(database.writes, plain, [make_job(plain, [row]) for row in rows], tries=1)
    assert {receipt.status for receipt in again.values()} == {Status.EXHAUSTED}


def sorted_by_key(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["key"]))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("content", b"[" * 33 + b"]" * 33),
        ("content", b"18446744073709551616"),
        ("content", b"-9223372036854775809"),
        ("content", b"NaN"),
        ("content", b"[1e999]"),
        ("batch", b'"no uuid"'),
    ],
)
def test_what_a_database_would_not_keep_is_refused_at_the_door(column: str, value: bytes) -> None:
    with pytest.raises(InvalidAdd) as refused:
        COUPONS.parse_add(b'{"candidates": ["A"], "values": {"' + column.encode() + b'": ' + value + b"}}")
    assert refused.value.faults[0].pointer.startswith(f"/values/{column}")


def of(**columns: Column[Any]) -> Collection:
    table = Table("things", MetaData(), Column("key", String(8), primary_key=True))
    for name, column in columns.items():
        column.name = name
        table.append_column(column)
    return Collection("things", table, ("key",))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Column(Numeric(5)), 1.5),
        (Column(Numeric(5, 2, asdecimal=False)), 1000.0),
        (Column(REAL), 1e300),
        (Column(Time), "12:00:00Z"),
    ],
)
def test_numbers_and_times_are_held_to_what_the_column_takes(column: Column[Any], value: Any) -> None:
    things = of(value=column)
    with pytest.raises(InvalidAdd):
        things.parse_add(orjson.dumps({"candidates": ["a"], "values": {"value": value}}))


def test_what_fits_is_taken() -> None:
    things = of(number=Column(Numeric(5)), at=Column(Time), tag=Column(Uuid(as_uuid=False)))
    tag = str(uuid.uuid4())
    add = things.parse_add(
        orjson.dumps({"candidates": ["a"], "values": {"number": "12345", "at": "12:00:00", "tag": tag}})
    )
    assert add.values == {"number": Decimal(12345), "at": time(12), "tag": tag}
