"""Many rows in one statement, on PostgreSQL and SQLite alike.

On PostgreSQL the rows travel as one array for each column, or all as one JSON text, so that the statement's text does
not depend on how many there are: it is compiled, parsed and prepared once. SQLite has no arrays and no round trips;
there SQLAlchemy's own way, a VALUES list, is as good.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    CTE,
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Engine,
    Insert,
    Integer,
    Select,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy import column as named
from sqlalchemy import values as value_list
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.util import greenlet_spawn

from shared.encoding import encode

Key = tuple[Any, ...]

# SQLite takes 32,766 parameters in a statement by default.
MAX_PARAMETERS = 32_000

COLUMN = "column "
"""How the parameters of columns begin."""

GIVEN = "given"
"""The parameter that holds the rows to choose from as one JSON text."""

WITNESS = "witness "
"""How the parameters of a witness begin."""

SPELLED_ALIKE = frozenset({BigInteger, Boolean, Integer, SmallInteger, String, Text, Uuid})
"""Types whose values PostgreSQL spells in JSON as we do; dates, floats, decimals it does not."""


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
        statement = _select_packed(tuple(columns), tuple(among))
        return list(await session.execute(statement, _packed(among, keys)))
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
        return list(await session.execute(_find_packed(tuple(among)), _packed(among, keys)))
    found: list[Any] = []
    step = MAX_PARAMETERS // len(among)
    for start in range(0, len(keys), step):
        part = value_list(*_named(among)).data(list(keys[start : start + step])).cte(_unlike("wanted", among[0].table))
        found += await session.execute(_equalled(among, part.c))
    return found


def _named(columns: Sequence[Column[Any]]) -> list[ColumnElement[Any]]:
    return [named(column.name, column.type) for column in columns]


def _equalled(among: Sequence[Column[Any]], wanted: Any) -> Select[Any]:
    # The table's column stands first: in SQLite the left side decides by which collation two texts are compared.
    is_there = select(among[0].table).where(*(column == wanted[column.name] for column in among)).exists()
    return select(*(wanted[column.name] for column in among)).where(is_there)


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
        statement = _insert_packed(table, tuple(key), names, tuple(returning))
        return list(await session.execute(statement, _packed_rows(table, rows)))
    insert = _ignoring(sqlite.insert(table) if not _is_postgresql(session) else postgresql.insert(table), key)
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
    alike = {name for name, values in columns.items() if _are_equal(table.c[name], values)}
    statement = _insert_by_columns(table, tuple(key), tuple(columns), frozenset(alike), tuple(returning))
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
    statement = _insert_first_packed(table, tuple(key), names, tuple(returning))
    return _first_of((await session.execute(statement, _packed_rows(table, rows))).first())


async def insert_first_free_at_once(
    engine: AsyncEngine,
    table: Table,
    key: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    returning: Sequence[str],
    witness: Witness,
) -> tuple[int, Any] | None:
    """As `insert_first_free`, with the `witness` inserted beside the row and both committed, in one round trip.

    `engine` is of PostgreSQL. The witness goes in if the row does, and if it breaks a constraint,
    which is raised, neither does. None as well for a table with values that JSON spells otherwise.
    """
    if not _are_alike(table, rows) or any(type(table.c[name].type) not in SPELLED_ALIKE for name in returning):
        return None
    told = (witness.table, tuple(witness.row), witness.choice, witness.result)
    statement = _insert_first_with_witness(table, tuple(key), tuple(rows[0]), tuple(returning), told)
    values = {GIVEN: encode(rows).decode()} | {WITNESS + name: value for name, value in witness.row.items()}
    # In one go on the other side: each crossing between the two halves of SQLAlchemy costs as much as a part of it.
    return _first_of(await greenlet_spawn(_first_row, engine.sync_engine, statement, values))


def _first_of(found: Any) -> tuple[int, Any] | None:
    return None if found is None else (found[0] - 1, found[1:])


def _first_row(engine: Engine, statement: Select[Any], values: Mapping[str, Any]) -> Any:
    # On the connection: an engine with this option would tell listeners of all that it does, though there are none.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement, values).first()


def _are_alike(table: Table, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one text fits `rows` however many: all have the same columns, SQLAlchemy has nothing to make up."""
    names = tuple(rows[0])
    return not _computes_defaults(table, names) and all(tuple(row) == names for row in rows)


def _is_postgresql(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _computes_defaults(table: Table, names: Sequence[str]) -> bool:
    """Whether SQLAlchemy has to make up a value for a column that is not given."""
    return any(column.default is not None and column.name not in names for column in table.columns)


def _ignoring(insert: Any, key: Sequence[str]) -> Any:
    return insert.on_conflict_do_nothing(index_elements=[insert.table.c[name] for name in key])


def _packed_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return _packed([table.c[name] for name in rows[0]], [tuple(row.values()) for row in rows])


def _packed(columns: Sequence[Column[Any]], rows: Sequence[Key]) -> dict[str, Any]:
    """The parameters of all `_array` of `columns`."""
    by_column = zip(columns, zip(*rows, strict=True), strict=True)
    return {COLUMN + column.name: _pack(column, values) for column, values in by_column}


def _pack(column: Column[Any], values: Sequence[Any]) -> Any:
    if type(column.type) in SPELLED_ALIKE:
        return encode(values).decode()
    return [_json_text(column.type, value) for value in values] if isinstance(column.type, JSON) else list(values)


def _array(column: Column[Any]) -> ColumnElement[Any]:
    """The values of a column of all rows, from one parameter.

    As JSON where that may be: the driver takes a microsecond for each element of an array, and SQLAlchemy half of one.
    """
    if type(column.type) in SPELLED_ALIKE:
        values = select(_unpacked(column)).scalar_subquery()
        return func.array(values, type_=ARRAY(Text() if _is_text(column) else column.type))
    # An array of JSON would take a list for one more dimension of the array, so JSON travels as text.
    return bindparam(COLUMN + column.name, type_=ARRAY(Text() if isinstance(column.type, JSON) else column.type))


def _unpacked(column: Column[Any]) -> ColumnElement[Any]:
    """The values of a column of all rows, from one parameter that holds them as a JSON array."""
    given = bindparam(COLUMN + column.name, type_=Text())
    return _read(column, func.json_array_elements_text(cast(given, JSON)))


def _bound(column: Column[Any]) -> ColumnElement[Any]:
    """The value that a column has in all rows."""
    return bindparam(COLUMN + column.name, type_=Text() if _is_text(column) else column.type)


def _is_text(column: Column[Any]) -> bool:
    """Whether to leave the type to the column: a cast to VARCHAR(n) would cut a text that is too long.

    An assignment to the column refuses it.
    """
    return type(column.type) in {String, Text}


def _as_json(column: Column[Any], values: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(values, column.type) if isinstance(column.type, JSON) else values


def _json_text(column_type: JSON, value: Any) -> str | None:
    return None if value is None and column_type.none_as_null else encode(value).decode()


@cache
def _select_packed(columns: tuple[Column[Any], ...], among: tuple[Column[Any], ...]) -> Select[Any]:
    arrays = [_array(column) for column in among]
    if len(among) == 1:
        return select(*columns).where(among[0] == any_(arrays[0]))
    keys = select(*(func.unnest(array) for array in arrays))
    return select(*columns).where(tuple_(*among).in_(keys))


@cache
def _find_packed(among: tuple[Column[Any], ...]) -> Select[Any]:
    wanted = func.unnest(*map(_array, among)).table_valued(*_named(among))
    return _equalled(among, wanted.render_derived(name=_unlike("wanted", among[0].table)).c)


@cache
def _insert_packed(table: Table, key: tuple[str, ...], names: tuple[str, ...], returning: tuple[str, ...]) -> Insert:
    rows = select(*(_as_json(table.c[name], func.unnest(_array(table.c[name]))) for name in names))
    insert: Any = postgresql.insert(table).from_select(names, rows, include_defaults=False)
    made: Insert = _ignoring(insert, key).returning(*(table.c[name] for name in returning))
    return made


@cache
def _insert_first_packed(
    table: Table, key: tuple[str, ...], names: tuple[str, ...], returning: tuple[str, ...]
) -> Select[Any]:
    place = _unlike("place", table)
    each = func.unnest(*(_array(table.c[name]) for name in names)).table_valued(*names, with_ordinality=place)
    given = each.render_derived(name=_unlike("given", table))
    found, _, _ = _insert_first(table, key, {name: given.c[name] for name in names}, given.c[place], returning)
    return found


@cache
def _insert_first_with_witness(
    table: Table,
    key: tuple[str, ...],
    names: tuple[str, ...],
    returning: tuple[str, ...],
    told: tuple[Table, tuple[str, ...], str, str],
) -> Select[Any]:
    witness, known, choice, result = told
    each = func.json_array_elements(cast(bindparam(GIVEN, type_=Text()), JSON))
    place = _unlike("place", table)
    pairs = each.table_valued(named("content", postgresql.JSON()), with_ordinality=place)
    given = pairs.render_derived(name=_unlike("given", table))
    values = {name: _read(table.c[name], given.c.content[name].astext) for name in names}
    found, first, won = _insert_first(table, key, values, given.c[place], returning)
    row = [bindparam(WITNESS + name, type_=witness.c[name].type) for name in known]
    tells = select(*row, first.c[place] - 1, func.row_to_json(won.table_valued())).select_from(won.join(first, true()))
    witnessed = witness.insert().from_select([*known, choice, result], tells, include_defaults=False)
    return found.add_cte(witnessed.cte(_unlike("witnessed", table)))


def _insert_first(
    table: Table,
    key: Sequence[str],
    values: Mapping[str, ColumnElement[Any]],
    place: ColumnElement[Any],
    returning: Sequence[str],
) -> tuple[Select[Any], CTE, CTE]:
    """What inserts the first of the given rows that is free: all of it, and its parts, the row as given and as won."""
    is_taken = select(table).where(*(table.c[name] == values[name] for name in key)).exists()
    named_values = [value.label(name) for name, value in values.items()]
    choice = place.label(_unlike("place", table))
    first = select(*named_values, choice).where(~is_taken).order_by(place).limit(1).cte(_unlike("first", table))
    content = [_as_json(table.c[name], first.c[name]) for name in values]
    insert: Any = postgresql.insert(table).from_select([*values], select(*content), include_defaults=False)
    won = _ignoring(insert, key).returning(*(table.c[name] for name in returning)).cte(_unlike("won", table))
    found = select(first.c[choice.name], *(won.c[name] for name in returning)).select_from(won.join(first, true()))
    return found, first, won


def _unlike(name: str, table: Table) -> str:
    """`name` for a part of a statement, or one like it that neither `table` nor a column of it is called."""
    while name == table.name or name in table.c:
        name += "_"
    return name


def _read(column: Column[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value of a type that JSON spells as PostgreSQL does."""
    return text if _is_text(column) else cast(text, column.type)


@cache
def _insert_by_columns(
    table: Table, key: tuple[str, ...], names: tuple[str, ...], alike: frozenset[str], returning: tuple[str, ...]
) -> Insert:
    values = [(_bound if name in alike else _unpacked)(table.c[name]) for name in names]
    insert: Any = postgresql.insert(table).from_select(names, select(*values), include_defaults=False)
    made: Insert = _ignoring(insert, key).returning(*(table.c[name] for name in returning))
    return made


def _are_equal(column: Column[Any], values: Sequence[Any]) -> bool:
    # Within JSON, 1 and true are not the same, but they are to Python.
    if isinstance(column.type, JSON) and values[0] is not None:
        return False
    return bool(values[-1] == values[0]) and values.count(values[0]) == len(values)
