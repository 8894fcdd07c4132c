"""The statements of `shared/rows.py` for PostgreSQL: each is one text, however many rows it is given.

And, at the end, the parts that those for SQLite are made of too.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    Column,
    ColumnElement,
    Insert,
    Select,
    Table,
    any_,
    bindparam,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy import column as named
from sqlalchemy.dialects import postgresql

from shared.packing import array_of, as_json, bound, numbered, unpacked

WITNESS = "witness "
"""How the parameters of a witness begin."""


@cache
def select_among(columns: tuple[Column[Any], ...], among: tuple[Column[Any], ...]) -> Select[Any]:
    """The rows whose `among` columns are one of the packed keys."""
    arrays = [array_of(column) for column in among]
    if len(among) == 1:
        return select(*columns).where(among[0] == any_(arrays[0]))
    keys = select(*(func.unnest(array) for array in arrays))
    return select(*columns).where(tuple_(*among).in_(keys))


@cache
def find_among(among: tuple[Column[Any], ...]) -> Select[Any]:
    """Those of the packed keys that there is a row for."""
    wanted = func.unnest(*map(array_of, among)).table_valued(*named_columns(among))
    return equalled(among, wanted.render_derived(name=unlike("wanted", among[0].table)).c)


@cache
def insert(table: Table, key: tuple[str, ...], names: tuple[str, ...], returning: tuple[str, ...]) -> Insert:
    """Of packed rows, those whose key is free."""
    rows = select(*(as_json(table.c[name], func.unnest(array_of(table.c[name]))) for name in names))
    return _insert_free(table, key, names, rows, returning)


@cache
def insert_columns(
    table: Table, key: tuple[str, ...], names: tuple[str, ...], alike: frozenset[str], returning: tuple[str, ...]
) -> Insert:
    """As `insert`, where every column is a JSON array, but for those of which all rows have one value."""
    rows = select(*((bound if name in alike else unpacked)(table.c[name]) for name in names))
    return _insert_free(table, key, names, rows, returning)


def _insert_free(
    table: Table, key: Sequence[str], names: Sequence[str], rows: Select[Any], returning: Sequence[str]
) -> Insert:
    given = postgresql.insert(table).from_select([*names], rows, include_defaults=False)
    made: Insert = ignoring(given, key).returning(*(table.c[name] for name in returning))
    return made


@cache
def insert_first(table: Table, key: tuple[str, ...], names: tuple[str, ...], returning: tuple[str, ...]) -> Select[Any]:
    """Of packed rows, the first whose key is free: its place, from 1, and what was inserted."""
    found, _, _ = _insert_first(table, key, names, returning)
    return found


@cache
def insert_first_with_witness(
    table: Table,
    key: tuple[str, ...],
    names: tuple[str, ...],
    returning: tuple[str, ...],
    told: tuple[Table, tuple[str, ...], str, str],
) -> Select[Any]:
    """As `insert_first`, with a row for another table that is `told` of it."""
    witness, known, choice, result = told
    found, first, won = _insert_first(table, key, names, returning)
    place = first.c[unlike("place", table)]
    row = [bindparam(WITNESS + name, type_=witness.c[name].type) for name in known]
    tells = select(*row, place - 1, func.row_to_json(won.table_valued())).select_from(won.join(first, true()))
    witnessed = witness.insert().from_select([*known, choice, result], tells, include_defaults=False)
    return found.add_cte(witnessed.cte(unlike("witnessed", table)))


def _insert_first(
    table: Table, key: Sequence[str], names: Sequence[str], returning: Sequence[str]
) -> tuple[Select[Any], CTE, CTE]:
    """What inserts the first of the packed rows that is free: all of it, and its parts, the row as given and as won."""
    place = unlike("place", table)
    given = numbered([table.c[name] for name in names], place).render_derived(name=unlike("given", table))
    # Asked of each row by itself. As "not exists" it is a join, for which a small table is read as a whole, and the
    # plan may be kept until the table is large.
    same = select(true()).select_from(table).where(*(table.c[name] == given.c[name] for name in key))
    is_free = same.scalar_subquery().is_(None)
    first = select(given).where(is_free).order_by(given.c[place]).limit(1).cte(unlike("first", table))
    content = select(*(as_json(table.c[name], first.c[name]) for name in names))
    won = _insert_free(table, key, names, content, returning).cte(unlike("won", table))
    found = select(first.c[place], *(won.c[name] for name in returning)).select_from(won.join(first, true()))
    return found, first, won


def named_columns(columns: Sequence[Column[Any]]) -> list[ColumnElement[Any]]:
    return [named(column.name, column.type) for column in columns]


def equalled(among: Sequence[Column[Any]], wanted: Any) -> Select[Any]:
    # The table's column stands first: in SQLite the left side decides by which collation two texts are compared.
    is_there = select(among[0].table).where(*(column == wanted[column.name] for column in among)).exists()
    return select(*(wanted[column.name] for column in among)).where(is_there)


def ignoring(insert: Any, key: Sequence[str]) -> Any:
    return insert.on_conflict_do_nothing(index_elements=[insert.table.c[name] for name in key])


def unlike(name: str, table: Table) -> str:
    """`name` for a part of a statement, or one like it that neither `table` nor a column of it is called."""
    while name == table.name or name in table.c:
        name += "_"
    return name
