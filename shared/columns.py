"""What a column takes from JSON: one rule for each SQLAlchemy type, read from the table and nowhere else."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, JsonValue, NaiveDatetime, WithJsonSchema

from shared.json_values import JSON_SCHEMA, NO_NUL
from shared.limits import HARD, Limits

# Two bytes, four bytes, eight bytes, as PostgreSQL keeps them. SQLite would take any of them as eight.
INTEGER_BITS: dict[type, int] = {sa.SmallInteger: 16, sa.Integer: 32, sa.BigInteger: 64}

# Equal in the database must mean equal here: a claim matches returned rows with its candidates by key.
KEY_TYPES = (sa.String, sa.Integer, sa.Uuid, sa.Date, sa.Boolean)

SINGLE_PRECISION_BITS = 24
LARGEST_SINGLE = 3.4028234e38


LOCAL_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
LOCAL_DATE_TIME = rf"[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{LOCAL_TIME}"

_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


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


def _json(value: JsonValue, limits: Limits, depth: int = 1) -> JsonValue:
    """A JSON value that both databases take and give back as it was."""
    if depth > limits.json_depth:
        raise ValueError(f"must not be nested deeper than {limits.json_depth} levels")
    if isinstance(value, str):
        return _short(value, limits)
    if isinstance(value, list):
        return [_json(item, limits, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_short(name, limits): _json(item, limits, depth + 1) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be finite numbers")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("must be integers of 64 bits")
    return value


def _short(text: str, limits: Limits) -> str:
    if len(text) > limits.text_chars:
        raise ValueError(f"must not hold texts of more than {limits.text_chars} characters")
    return _storable(text)


def _decimal_text(value: object) -> object:
    """Python's own reading would take underscores, spaces and the digits of every script."""
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError("must be a decimal number such as 12.50")
    return value


def _written_out(number: Decimal, limits: Limits) -> Decimal:
    """An exponent costs nothing to send and a digit each to store."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if max(len(digits), len(digits) + exponent, -exponent) > limits.number_digits:
        raise ValueError(f"must not have more than {limits.number_digits} digits")
    return number


# The length is counted in code points, as PostgreSQL counts it; SQLite does not count.
def _text(column_type: sa.String, limits: Limits) -> Any:
    longest = min(column_type.length or limits.text_chars, limits.text_chars)
    return Annotated[str, Field(max_length=longest, pattern=NO_NUL)]


def _integer(column_type: sa.Integer, _: Limits) -> Any:
    bits = next(INTEGER_BITS[kind] for kind in type(column_type).__mro__ if kind in INTEGER_BITS)
    return Annotated[int, Field(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1)]


def _numeric(column_type: sa.Numeric[Any], limits: Limits) -> Any:
    # NUMERIC(5) has no decimal places; only a bare NUMERIC takes any number of them.
    digits = column_type.precision
    places = column_type.scale if column_type.scale is not None or digits is None else 0
    if not column_type.asdecimal:
        return _float_below(None if digits is None else 10.0 ** (digits - (places or 0)))
    return Annotated[
        Decimal,
        Field(allow_inf_nan=False, max_digits=digits, decimal_places=places, strict=False),
        BeforeValidator(_decimal_text),
        AfterValidator(partial(_written_out, limits=limits)),
        WithJsonSchema(_numeric_schema(digits, places, limits)),
    ]


def _numeric_schema(digits: int | None, places: int | None, limits: Limits) -> dict[str, Any]:
    """A number in text is exact; a JSON number is as exact as a float."""
    if digits is None or places is None:
        longest = limits.number_digits
        return {
            "description": f"at most {longest} digits, written out",
            "anyOf": [{"type": "string", "pattern": rf"^[+-]?[0-9]{{1,{longest}}}(\.[0-9]+)?$"}, {"type": "number"}],
        }
    whole = digits - places
    bound = 10**whole
    fraction = rf"(\.[0-9]{{1,{places}}})?" if places > 0 else ""
    number = {"type": "number", "multipleOf": 10**-places} if places else {"type": "integer"}
    return {
        "anyOf": [
            {"type": "string", "pattern": rf"^[+-]?0*[0-9]{{1,{max(1, whole)}}}{fraction}$"},
            {**number, "exclusiveMinimum": -bound, "exclusiveMaximum": bound},
        ]
    }


def _float(column_type: sa.Float[Any], _: Limits) -> Any:
    is_single = isinstance(column_type, sa.REAL) or (column_type.precision or 53) <= SINGLE_PRECISION_BITS
    return _float_below(LARGEST_SINGLE if is_single else None)


def _float_below(bound: float | None) -> Any:
    return Annotated[float, Field(allow_inf_nan=False, gt=None if bound is None else -bound, lt=bound)]


def _time(column_type: sa.Time, _: Limits) -> Any:
    if column_type.timezone:
        raise UnsupportedColumn("a time of day with a time zone")
    return Annotated[time, AfterValidator(_naive), _as_text(LOCAL_TIME)]


def _date_time(column_type: sa.DateTime, _: Limits) -> Any:
    if column_type.timezone:
        return Annotated[AwareDatetime, AfterValidator(_utc)]
    return Annotated[NaiveDatetime, _as_text(LOCAL_DATE_TIME)]


def _as_text(pattern: str) -> WithJsonSchema:
    """For what has no format in JSON Schema: those of RFC 3339 have a time zone."""
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


# Order matters: SQLAlchemy's Enum is a String, its Float a Numeric.
RULES: tuple[tuple[type[sa.types.TypeEngine[Any]], Callable[[Any, Limits], Any]], ...] = (
    (sa.Enum, lambda t, _: Literal[tuple(t.enums)]),
    (sa.String, _text),
    (sa.Boolean, lambda *_: bool),
    (sa.Integer, _integer),
    (sa.Float, _float),
    (sa.Numeric, _numeric),
    (sa.DateTime, _date_time),
    (sa.Date, lambda *_: date),
    (sa.Time, _time),
    (sa.Uuid, lambda t, _: UUID if t.as_uuid else Annotated[UUID, AfterValidator(str)]),
    (sa.JSON, lambda _, limits: Annotated[JsonValue, AfterValidator(partial(_json, limits=limits)), JSON_SCHEMA]),
)


def annotation(column: sa.Column[Any], limits: Limits = HARD) -> Any:
    """The type that pydantic holds a value of `column` to; raises `UnsupportedColumn`."""
    column_type = column.type
    if isinstance(column_type, sa.TypeDecorator):
        column_type = column_type.impl_instance
    for kind, rule in RULES:
        if isinstance(column_type, kind):
            made = rule(column_type, limits)
            return made | None if column.nullable else made
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
