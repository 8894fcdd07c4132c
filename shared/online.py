"""Changes of a large table while workers write to it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

IS_INVALID = sa.text("SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid")

LOCK_TIMEOUT = sa.text("SELECT current_setting('lock_timeout')")


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add `column` unless it is there, as it is where an index that belongs to it could not be finished.

    Nullable or with a default: the code of before goes on writing rows without it.
    """
    there = {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}
    if column.name not in there:
        op.add_column(table, column)


def create_index(name: str, table: str, columns: Sequence[str], *, where: str | None = None) -> None:
    """Create the index `name` unless it is there; of the rows for which `where` holds, else of all.

    On PostgreSQL it is built beside the writers, which a plain CREATE INDEX would hold back until its end; so it
    stands outside of the migration's transaction, and what a build that broke off left behind is made anew.
    """
    condition = None if where is None else sa.text(where)
    if op.get_bind().dialect.name != "postgresql":
        op.create_index(name, table, columns, sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        # It waits for whoever began before it, and nobody waits for it. Behind a pooler, where the session is not
        # ours to set, there is no such timeout outside of a transaction.
        has_timeout = op.get_bind().execute(LOCK_TIMEOUT).scalar_one() != "0"
        if has_timeout:
            op.execute("SET lock_timeout = 0")
        if op.get_bind().execute(IS_INVALID, {"name": name}).first() is not None:
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(
            name, table, columns, postgresql_where=condition, postgresql_concurrently=True, if_not_exists=True
        )
        if has_timeout:
            op.execute("RESET lock_timeout")
