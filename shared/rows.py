"""Many rows in one statement, on PostgreSQL and SQLite alike.

On PostgreSQL they travel as `shared/packing.py` says. SQLite has no arrays and no round trips; there SQLAlchemy's own
way, a VALUES list, is as good.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Table,
    select,
    tuple_,
)
from sqlalchemy import values as value_list
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from shared import statements
from shared.at_once import AtOnce
from shared.encoding import encode
from shared.packing import COLUMN, SPELLED_ALIKE, Key, are_equal, packed, packed_rows, spelled
from shared.statements import WITNESS

# SQLite takes 32,766 parameters in a statement by default.
MAX_PARAMETERS = 32_000


class Witness(NamedTuple):
    """A row for another table that tells which row was inserted: `choice` and `result` are columns of it.

    They get the place of that row among the given ones, from 0, and the row itself as JSON; `row` gives the others.
    """

    table: Table
    row: Mapping[str, Any]
    choice: str
    result: str


async def select_among(
    session: AsyncSession, columns: Sequence[Column[Any]], among: Sequence[Column[Any]], keys: Sequence[Key]
) -> list[Any]:
    """The rows, as `columns`, whose `among` columns are one of `keys`."""
    if not keys:
        return []
    if _is_postgresql(session):
        statement = statements.select_among(tuple(columns), tuple(among))
        return list(await session.execute(statement, packed(among, keys)))
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
        return list(await session.execute(statements.find_among(tuple(among)), packed(among, keys)))
    found: list[Any] = []
    step = MAX_PARAMETERS // len(among)
    for start in range(0, len(keys), step):
        part = (
            value_list(*statements.named_columns(among))
            .data(list(keys[start : start + step]))
            .cte(statements.unlike("wanted", among[0].table))
        )
        found += await session.execute(statements.equalled(among, part.c))
    return found


async def insert_unless_taken(
    session: AsyncSession,
    table: Table,
    key: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    returning: Sequence[str],
) -> list[Any]:
    """INSERT `rows` ON CONFLICT (`key`) DO NOTHING, in their order, and return those that were inserted.

    All rows must have the same columns.
    """
    names = tuple(rows[0])
    if _is_postgresql(session) and not _computes_defaults(table, names):
        statement = statements.insert(table, tuple(key), names, tuple(returning))
        return list(await session.execute(statement, packed_rows(table, rows)))
    insert = statements.ignoring(sqlite.insert(table) if not _is_postgresql(session) else postgresql.insert(table), key)
    return list(await session.execute(insert.returning(*(table.c[name] for name in returning)), rows))


async def insert_columns_unless_taken(
    session: AsyncSession,
    table: Table,
    key: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    returning: Sequence[str],
) -> list[Any]:
    """As `insert_unless_taken`, for a wide table of types that JSON spells as PostgreSQL does.

    Each of `columns` has the values of all rows, in their order. They travel as JSON, of which SQLAlchemy's own types
    get to see nothing, and once where all rows have the same: that saves the driver and the database half of the work.
    """
    if not _is_postgresql(session):
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return await insert_unless_taken(session, table, key, rows, returning)
    alike = {name for name, values in columns.items() if are_equal(table.c[name], values)}
    statement = statements.insert_columns(table, tuple(key), tuple(columns), frozenset(alike), tuple(returning))
    parameters = {
        COLUMN + name: values[0] if name in alike else encode(values).decode() for name, values in columns.items()
    }
    return list(await session.execute(statement, parameters))


async def insert_first_free(
    session: AsyncSession, table: Table, key: Sequence[str], rows: Sequence[Mapping[str, Any]], returning: Sequence[str]
) -> tuple[int, Any] | None:
    """INSERT the first of `rows` whose `key` is not taken: its place among them, and the row that came of it.

    None where all are taken, where somebody else took that one in the meantime, and where one statement cannot do
    it: on SQLite, which has no round trips to save, and for rows of different columns.
    """
    if not _is_postgresql(session) or not _are_alike(table, rows):
        return None
    names = tuple(rows[0])
    statement = statements.insert_first(table, tuple(key), names, tuple(returning))
    return _first_of((await session.execute(statement, packed_rows(table, rows))).first())


async def insert_first_free_at_once(
    at_once: AtOnce,
    table: Table,
    key: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    returning: Sequence[str],
    witness: Witness,
) -> tuple[int, Any] | None:
    """As `insert_first_free`, with the `witness` inserted beside the row and both committed, in one round trip.

    The witness goes in if the row does, and if it breaks a constraint, neither does; raises what `AtOnce` raises.
    None as well for a table with values that JSON spells otherwise.
    """
    if not _are_alike(table, rows) or any(type(table.c[name].type) not in SPELLED_ALIKE for name in returning):
        return None
    told = (witness.table, tuple(witness.row), witness.choice, witness.result)
    statement = statements.insert_first_with_witness(table, tuple(key), tuple(rows[0]), tuple(returning), told)
    known = {WITNESS + name: spelled(witness.table.c[name], value) for name, value in witness.row.items()}
    return _first_of(await at_once.first(statement, packed_rows(table, rows) | known))


def _first_of(found: Any) -> tuple[int, Any] | None:
    return None if found is None else (found[0] - 1, found[1:])


def _are_alike(table: Table, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one text fits `rows` however many: all have the same columns, SQLAlchemy has nothing to make up."""
    names = set[str]().union(*rows)
    return {*map(len, rows)} == {len(names)} and not _computes_defaults(table, tuple(names))


def _is_postgresql(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _computes_defaults(table: Table, names: Sequence[str]) -> bool:
    """Whether SQLAlchemy has to make up a value for a column that is not given."""
    return any(column.default is not None and column.name not in names for column in table.columns)
