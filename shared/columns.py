"""What a column takes from JSON: one rule for each SQLAlchemy type, read from the table and nowhere else."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import AfterValidator, AwareDatetime, Field, JsonValue, NaiveDatetime

# Two bytes, four bytes, eight bytes, as PostgreSQL keeps them. SQLite would take any of them as eight.
INTEGER_BITS: dict[type, int] = {sa.SmallInteger: 16, sa.Integer: 32, sa.BigInteger: 64}

# Equal in the database must mean equal here: a claim matches returned rows with its candidates by key.
KEY_TYPES = (sa.String, sa.Integer, sa.Uuid, sa.Date, sa.Boolean)


MAX_JSON_DEPTH = 32
"""Far below what a JSON parser takes, for on its way a value gets deeper: into an add, a batch, an envelope."""

SINGLE_PRECISION_BITS = 24
LARGEST_SINGLE = 3.4028234e38


class UnsupportedColumn(Exception):  # noqa: N818
    """A collection has a column that dibs cannot take from JSON; the text says which."""


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain unpaired surrogates") from None
    return text


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def _naive(moment: time) -> time:
    if moment.tzinfo is not None:
        raise ValueError("must not have a time zone")
    return moment


def _json(value: JsonValue, depth: int = 1) -> JsonValue:
    """A JSON value that both databases take and give back as it was."""
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"must not be nested deeper than {MAX_JSON_DEPTH} levels")
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, list):
        return [_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _json(item, depth + 1) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be finite numbers")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("must be integers of 64 bits")
    return value


def _text(column_type: sa.String) -> Any:
    return Annotated[str, Field(max_length=column_type.length), AfterValidator(_storable)]


def _integer(column_type: sa.Integer) -> Any:
    bits = next(INTEGER_BITS[kind] for kind in type(column_type).__mro__ if kind in INTEGER_BITS)
    return Annotated[int, Field(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1)]


def _numeric(column_type: sa.Numeric[Any]) -> Any:
    # NUMERIC(5) has no decimal places; only a bare NUMERIC takes any number of them.
    digits = column_type.precision
    places = column_type.scale if column_type.scale is not None or digits is None else 0
    if column_type.asdecimal:
        limits = Field(allow_inf_nan=False, max_digits=digits, decimal_places=places, strict=False)
        return Annotated[Decimal, limits]
    return _float_below(None if digits is None else 10.0 ** (digits - (places or 0)))


def _float(column_type: sa.Float[Any]) -> Any:
    is_single = isinstance(column_type, sa.REAL) or (column_type.precision or 53) <= SINGLE_PRECISION_BITS
    return _float_below(LARGEST_SINGLE if is_single else None)


def _float_below(bound: float | None) -> Any:
    return Annotated[float, Field(allow_inf_nan=False, gt=None if bound is None else -bound, lt=bound)]


def _time(column_type: sa.Time) -> Any:
    if column_type.timezone:
        raise UnsupportedColumn("a time of day with a time zone")
    return Annotated[time, AfterValidator(_naive)]


# Order matters: SQLAlchemy's Enum is a String, its Float a Numeric.
RULES: tuple[tuple[type[sa.types.TypeEngine[Any]], Callable[[Any], Any]], ...] = (
    (sa.Enum, lambda t: Literal[tuple(t.enums)]),
    (sa.String, _text),
    (sa.Boolean, lambda _: bool),
    (sa.Integer, _integer),
    (sa.Float, _float),
    (sa.Numeric, _numeric),
    (sa.DateTime, lambda t: Annotated[AwareDatetime, AfterValidator(_utc)] if t.timezone else NaiveDatetime),
    (sa.Date, lambda _: date),
    (sa.Time, _time),
    (sa.Uuid, lambda t: UUID if t.as_uuid else Annotated[UUID, AfterValidator(str)]),
    (sa.JSON, lambda _: Annotated[JsonValue, AfterValidator(_json)]),
)


def annotation(column: sa.Column[Any]) -> Any:
    """The type that pydantic holds a value of `column` to; raises `UnsupportedColumn`."""
    column_type = column.type
    if isinstance(column_type, sa.TypeDecorator):
        column_type = column_type.impl_instance
    for kind, rule in RULES:
        if isinstance(column_type, kind):
            return rule(column_type) | None if column.nullable else rule(column_type)
    raise UnsupportedColumn(f"column {column.table.name}.{column.name} has type {column_type!r}")


def is_given(column: sa.Column[Any]) -> bool:
    """Whether a caller may give `column`; what the database counts or computes by itself is not given."""
    return column.computed is None and column.identity is None and column is not column.table.autoincrement_column


def is_required(column: sa.Column[Any]) -> bool:
    return not column.nullable and column.default is None and column.server_default is None


def is_key_type(column: sa.Column[Any]) -> bool:
    """Whether a value comes back as it went in: CHAR pads, Float rounds, an Enum of Python's comes as its member."""
    kind = column.type
    changes = (
        isinstance(kind, sa.CHAR)
        or (isinstance(kind, sa.Enum) and kind.enum_class is not None)
        or (isinstance(kind, sa.Uuid) and not kind.as_uuid)
    )
    return isinstance(kind, KEY_TYPES) and not changes and not column.nullable
