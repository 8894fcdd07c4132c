"""How the values of many rows travel to PostgreSQL: a parameter for each column, however many rows there are.

So the text of a statement does not depend on their number: it is compiled, parsed and prepared once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Function,
    Integer,
    SmallInteger,
    String,
    Table,
    TableValuedAlias,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    select,
)

from shared.encoding import encode

Key = tuple[Any, ...]

COLUMN = "column "
"""How the parameters of columns begin."""

JSON_ALREADY = frozenset({BigInteger, Boolean, Integer, SmallInteger, String, Text})
"""Types whose values are the same in Python and in JSON; not those derived from them, which may give anything."""

SPELLED_ALIKE = JSON_ALREADY | {Uuid}
"""Types whose values PostgreSQL spells in JSON as we do; dates, floats, decimals it does not."""


def packed_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `packed`; all rows have the same columns."""
    return {COLUMN + name: _pack(table.c[name], [row[name] for row in rows]) for name in rows[0]}


def packed(columns: Sequence[Column[Any]], rows: Sequence[Key]) -> dict[str, Any]:
    """The parameters of all `array_of` of `columns`."""
    by_column = zip(columns, zip(*rows, strict=True), strict=True)
    return {COLUMN + column.name: _pack(column, values) for column, values in by_column}


def _pack(column: Column[Any], values: Sequence[Any]) -> Any:
    if type(column.type) in SPELLED_ALIKE:
        return encode(values).decode()
    return [spelled(column, value) for value in values]


def spelled(column: Column[Any], value: Any) -> Any:
    """A value of `column` as the driver takes it: JSON as text, null or not as its type says."""
    if not isinstance(column.type, JSON) or (value is None and column.type.none_as_null):
        return value
    return encode(value).decode()


def array_of(column: Column[Any]) -> ColumnElement[Any]:
    """The values of a column of all rows, from one parameter.

    As JSON where that may be: the driver takes half a microsecond for each element of an array.
    """
    if type(column.type) in SPELLED_ALIKE:
        values = select(unpacked(column)).scalar_subquery()
        return func.array(values, type_=ARRAY(Text() if _is_text(column) else column.type))
    # An array of JSON would take a list for one more dimension of the array, so JSON travels as text.
    return bindparam(COLUMN + column.name, type_=ARRAY(Text() if isinstance(column.type, JSON) else column.type))


def unpacked(column: Column[Any]) -> ColumnElement[Any]:
    """The values of a column of all rows, from one parameter that holds them as a JSON array."""
    return _read(column, _elements(column))


def _elements(column: Column[Any]) -> Function[Any]:
    return func.json_array_elements_text(cast(bindparam(COLUMN + column.name, type_=Text()), JSON))


def numbered(columns: Sequence[Column[Any]], place: str) -> TableValuedAlias:
    """All rows as a table, with their `place`, from 1."""
    # A lone text needs no array: its elements are there as they are.
    is_text = len(columns) == 1 and _is_text(columns[0])
    each = _elements(columns[0]) if is_text else func.unnest(*map(array_of, columns))
    return each.table_valued(*(column.name for column in columns), with_ordinality=place)


def bound(column: Column[Any]) -> ColumnElement[Any]:
    """The value that a column has in all rows."""
    return bindparam(COLUMN + column.name, type_=Text() if _is_text(column) else column.type)


def _is_text(column: Column[Any]) -> bool:
    """Whether to leave the type to the column: a cast to VARCHAR(n) would cut a text that is too long.

    An assignment to the column refuses it.
    """
    return type(column.type) in {String, Text}


def as_json(column: Column[Any], values: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(values, column.type) if isinstance(column.type, JSON) else values


def _read(column: Column[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value of `column` from its JSON, where PostgreSQL spells it as we do, or understands what we say."""
    return text if _is_text(column) else cast(text, column.type)


def are_equal(column: Column[Any], values: Sequence[Any]) -> bool:
    """Whether one of `values` may stand for all."""
    # Within JSON, 1 and true are not the same, but they are to Python.
    if isinstance(column.type, JSON) and values[0] is not None:
        return False
    return bool(values[-1] == values[0]) and values.count(values[0]) == len(values)
