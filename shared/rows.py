"""Many rows in one statement, on PostgreSQL and SQLite alike.

On PostgreSQL the rows travel as one array for each column, so that the statement's text does not depend on how
many there are: it is compiled, parsed and prepared once. SQLite has no arrays and no round trips; there
SQLAlchemy's own way, a VALUES list, is as good.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Insert,
    Select,
    String,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
    tuple_,
)
from sqlalchemy import column as named
from sqlalchemy import values as value_list
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from shared.encoding import encode

Key = tuple[Any, ...]

# SQLite takes 32,766 parameters in a statement by default.
MAX_PARAMETERS = 32_000


async def select_among(
    session: AsyncSession, columns: Sequence[Column[Any]], among: Sequence[Column[Any]], keys: Sequence[Key]
) -> list[Any]:
    """The rows, as `columns`, whose `among` columns are one of `keys`."""
    if not keys:
        return []
    if _is_postgresql(session):
        statement, names = _select_by_arrays(tuple(columns), tuple(among))
        return list(await session.execute(statement, _arrays(names, keys)))
    found: list[Any] = []
    step = MAX_PARAMETERS // len(among)
    for start in range(0, len(keys), step):
        part = keys[start : start + step]
        is_one = among[0].in_([key[0] for key in part]) if len(among) == 1 else tuple_(*among).in_(part)
        found += await session.execute(select(*columns).where(is_one))
    return found


async def find_among(session: AsyncSession, among: Sequence[Column[Any]], keys: Sequence[Key]) -> list[Any]:
    """Those of `keys` for which there is a row whose `among` columns equal them, as the database sees it.

    Where its collation is not Python's equality, `select_among` finds the row and not which of the keys it equals.
    """
    if not keys:
        return []
    if _is_postgresql(session):
        statement, names = _find_by_arrays(tuple(among))
        return list(await session.execute(statement, _arrays(names, keys)))
    found: list[Any] = []
    step = MAX_PARAMETERS // len(among)
    for start in range(0, len(keys), step):
        part = value_list(*_named(among)).data(list(keys[start : start + step])).cte("wanted")
        found += await session.execute(_equalled(among, part.c))
    return found


def _named(columns: Sequence[Column[Any]]) -> list[ColumnElement[Any]]:
    return [named(column.name, column.type) for column in columns]


def _equalled(among: Sequence[Column[Any]], wanted: Any) -> Select[Any]:
    # The table's column stands first: in SQLite the left side decides by which collation two texts are compared.
    is_there = select(among[0].table).where(*(column == wanted[column.name] for column in among)).exists()
    return select(*(wanted[column.name] for column in among)).where(is_there)


async def insert_unless_taken(
    session: AsyncSession, table: Table, key: Sequence[str], rows: Sequence[Mapping[str, Any]], returning: Sequence[str]
) -> list[Any]:
    """INSERT `rows` ON CONFLICT (`key`) DO NOTHING, in their order, and return those that were inserted.

    All rows must have the same columns.
    """
    names = tuple(rows[0])
    if _is_postgresql(session) and not _computes_defaults(table, names):
        statement, parameters = _insert_by_arrays(table, tuple(key), names, tuple(returning))
        columns = _arrays(parameters, [tuple(row.values()) for row in rows])
        for name, parameter in zip(names, parameters, strict=True):
            if isinstance(json := table.c[name].type, JSON):
                columns[parameter] = [_json_text(json, value) for value in columns[parameter]]
        return list(await session.execute(statement, columns))
    insert = _ignoring(sqlite.insert(table) if not _is_postgresql(session) else postgresql.insert(table), key)
    return list(await session.execute(insert.returning(*(table.c[name] for name in returning)), rows))


def _is_postgresql(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _computes_defaults(table: Table, names: Sequence[str]) -> bool:
    """Whether SQLAlchemy has to make up a value for a column that is not given."""
    return any(column.default is not None and column.name not in names for column in table.columns)


def _ignoring(insert: Any, key: Sequence[str]) -> Any:
    return insert.on_conflict_do_nothing(index_elements=[insert.table.c[name] for name in key])


def _arrays(names: Sequence[str], rows: Sequence[Key]) -> dict[str, list[Any]]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _array(column: Column[Any], name: str) -> ColumnElement[Any]:
    """One parameter that holds a column of all rows."""
    # A cast to VARCHAR(n) would cut a text that is too long; an assignment to the column refuses it. An array of
    # JSON would take a list for one more dimension of the array, so JSON travels as text.
    is_text = type(column.type) in {String, Text} or isinstance(column.type, JSON)
    return bindparam(name, type_=ARRAY(Text() if is_text else column.type))


def _unnested(column: Column[Any], name: str) -> ColumnElement[Any]:
    values: ColumnElement[Any] = func.unnest(_array(column, name))
    return cast(values, column.type) if isinstance(column.type, JSON) else values


def _json_text(column_type: JSON, value: Any) -> str | None:
    return None if value is None and column_type.none_as_null else encode(value).decode()


@cache
def _select_by_arrays(columns: tuple[Column[Any], ...], among: tuple[Column[Any], ...]) -> tuple[Any, list[str]]:
    names = [f"key_{place}" for place in range(len(among))]
    arrays = [_array(column, name) for column, name in zip(among, names, strict=True)]
    if len(among) == 1:
        return select(*columns).where(among[0] == any_(arrays[0])), names
    keys = select(*(func.unnest(array) for array in arrays))
    return select(*columns).where(tuple_(*among).in_(keys)), names


@cache
def _find_by_arrays(among: tuple[Column[Any], ...]) -> tuple[Any, list[str]]:
    names = [f"key_{place}" for place in range(len(among))]
    arrays = [_array(column, name) for column, name in zip(among, names, strict=True)]
    wanted = func.unnest(*arrays).table_valued(*_named(among), name="wanted").render_derived()
    return _equalled(among, wanted.c), names


@cache
def _insert_by_arrays(
    table: Table, key: tuple[str, ...], names: tuple[str, ...], returning: tuple[str, ...]
) -> tuple[Insert, list[str]]:
    parameters = [f"column_{place}" for place in range(len(names))]
    rows = select(*(_unnested(table.c[n], p) for n, p in zip(names, parameters, strict=True)))
    insert: Any = postgresql.insert(table).from_select(names, rows, include_defaults=False)
    return _ignoring(insert, key).returning(*(table.c[name] for name in returning)), parameters
