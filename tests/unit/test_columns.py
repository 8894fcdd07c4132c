"""What each column type takes from JSON."""

import datetime as dt
import enum
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import ConfigDict, TypeAdapter, ValidationError
from sqlalchemy.dialects import postgresql

from shared.columns import UnsupportedColumn, annotation, is_given, is_key_type, is_required


def column(column_type: Any, **options: Any) -> sa.Column[Any]:
    made: sa.Column[Any] = sa.Column("c", column_type, **({"nullable": False} | options))
    sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), made)
    return made


def read(column_type: Any, json: str, **options: Any) -> Any:
    adapter: TypeAdapter[Any] = TypeAdapter(annotation(column(column_type, **options)), config=ConfigDict(strict=True))
    return adapter.validate_json(json)


ID = UUID("01920000-0000-7000-8000-000000000000")
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("column_type", "json", "value"),
    [
        (sa.String(3), '"Zoë"', "Zoë"),
        (sa.Text(), '""', ""),
        (sa.Integer(), "-2147483648", -(2**31)),
        (sa.SmallInteger(), "32767", 2**15 - 1),
        (sa.BigInteger(), "9223372036854775807", 2**63 - 1),
        (sa.Boolean(), "true", True),
        (sa.Float(), "1.5", 1.5),
        (sa.Numeric(5, 2), '"123.45"', Decimal("123.45")),
        (sa.Numeric(5, 2), "1.5", Decimal("1.5")),
        (sa.Date(), '"2026-01-01"', dt.date(2026, 1, 1)),
        (sa.Time(), '"12:00:00"', dt.time(12)),
        (sa.DateTime(timezone=True), '"2026-01-01T21:00:00+09:00"', NOON),
        (sa.DateTime(), '"2026-01-01T12:00:00"', NOON.replace(tzinfo=None)),
        (sa.Uuid(), f'"{ID}"', ID),
        (sa.Enum("free", "paid"), '"paid"', "paid"),
        (sa.JSON(), '{"a": [1, null, "b"]}', {"a": [1, None, "b"]}),
        (postgresql.JSONB(), "[1]", [1]),
    ],
    ids=repr,
)
def test_a_fitting_value_is_taken(column_type: Any, json: str, value: Any) -> None:
    taken = read(column_type, json)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(
    ("column_type", "json"),
    [
        (sa.String(3), '"four"'),
        (sa.String(3), "1"),
        (sa.String(3), "null"),
        (sa.String(), r'"a\u0000b"'),
        (sa.Integer(), "2147483648"),
        (sa.Integer(), "1.0"),
        (sa.Integer(), '"1"'),
        (sa.Integer(), "true"),
        (sa.SmallInteger(), "-32769"),
        (sa.BigInteger(), "9223372036854775808"),
        (sa.Boolean(), "1"),
        (sa.Float(), "NaN"),
        (sa.Float(), "Infinity"),
        (sa.Numeric(5, 2), '"1.234"'),
        (sa.Numeric(5, 2), '"1234.5"'),
        (sa.Numeric(5, 2), '"NaN"'),
        (sa.Date(), '"2026-02-30"'),
        (sa.DateTime(timezone=True), '"2026-01-01T12:00:00"'),
        (sa.DateTime(), '"2026-01-01T12:00:00Z"'),
        (sa.Uuid(), '"x"'),
        (sa.Enum("free", "paid"), '"gold"'),
        (sa.JSON(), r'{"a": ["\u0000"]}'),
        (sa.JSON(), r'{"\u0000": 1}'),
    ],
    ids=repr,
)
def test_a_value_that_does_not_fit_is_refused(column_type: Any, json: str) -> None:
    with pytest.raises(ValidationError):
        read(column_type, json)


def test_an_unpaired_surrogate_is_refused() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(annotation(column(sa.String())))
    with pytest.raises(ValidationError):
        adapter.validate_python("a\ud800")


def test_null_is_taken_where_the_column_takes_it() -> None:
    assert read(sa.String(3), "null", nullable=True) is None


def test_a_decorated_type_takes_what_it_is_made_of() -> None:
    class Slug(sa.TypeDecorator[str]):
        impl = sa.String(3)
        cache_ok = True

    assert read(Slug(), '"abc"') == "abc"
    with pytest.raises(ValidationError):
        read(Slug(), '"abcd"')


def test_a_type_without_a_json_form_is_named() -> None:
    with pytest.raises(UnsupportedColumn, match=r"column t\.c has type LargeBinary"):
        annotation(column(sa.LargeBinary()))


@pytest.mark.parametrize(
    ("options", "required"),
    [({}, True), ({"nullable": True}, False), ({"default": "a"}, False), ({"server_default": "a"}, False)],
)
def test_a_column_is_required_where_nobody_else_fills_it(options: dict[str, Any], required: bool) -> None:
    assert is_required(column(sa.String(), **options)) is required


def test_what_the_database_makes_by_itself_is_not_given() -> None:
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String),
        sa.Column("short", sa.String, sa.Computed("lower(name)")),
        sa.Column("number", sa.Integer, sa.Identity()),
    )
    assert [c.name for c in table.columns if is_given(c)] == ["name"]


@pytest.mark.parametrize("column_type", [sa.String(), sa.Integer(), sa.Uuid(), sa.Date(), sa.Boolean()], ids=repr)
def test_what_comes_back_as_it_went_in_may_be_part_of_a_key(column_type: Any) -> None:
    assert is_key_type(column(column_type))
    assert not is_key_type(column(column_type, nullable=True))


class Level(enum.Enum):
    LOW = 1


@pytest.mark.parametrize(
    "column_type",
    [sa.CHAR(3), sa.Float(), sa.Numeric(), sa.JSON(), sa.DateTime(), sa.Enum(Level), sa.Uuid(as_uuid=False)],
    ids=repr,
)
def test_what_may_come_back_otherwise_may_not_be_part_of_a_key(column_type: Any) -> None:
    assert not is_key_type(column(column_type))
