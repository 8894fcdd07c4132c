"""Statements that are transactions of their own, sent straight to PostgreSQL's driver.

What SQLAlchemy does around a statement is little among many, and half a millisecond of a lone job's way through a
worker that has just woken up. The text is still SQLAlchemy's, and the connections are the engine's.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import asyncpg
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

Around = Callable[[str], AbstractContextManager[object]]


class AtOnce:
    """The way to the database for a statement that needs no other beside it.

    It is told to `around`, which may be set to know of each; SQLAlchemy's own events do not tell of it.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._spelled: dict[Select[Any], tuple[str, tuple[str, ...], dict[str, Any]]] = {}
        self.around: Around = lambda _: nullcontext()

    async def first(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row that `statement` gives, committed; `values` are in the form that the driver takes.

        Raises what asyncpg raises; where that is no answer of the database's, it may have been committed all the same.
        """
        text, names, own = self._spell(statement)
        with self.around(text):
            connection = await self._engine.raw_connection()
            try:
                row = await _driver(connection).fetchrow(text, *map((own | dict(values)).__getitem__, names))
            except asyncpg.PostgresError:
                if _driver(connection).is_closed():
                    connection.invalidate()
                raise
            except BaseException:
                connection.invalidate()
                raise
            finally:
                connection.close()
        return None if row is None else tuple(row)

    def _spell(self, statement: Select[Any]) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """The text of `statement`, the names of its parameters in order, and the values of those that are its own."""
        spelled = self._spelled.get(statement)
        if spelled is None:
            compiled: Any = statement.compile(dialect=self._engine.dialect)
            spelled = self._spelled[statement] = (str(compiled), tuple(compiled.positiontup), dict(compiled.params))
        return spelled


def _driver(connection: Any) -> "asyncpg.Connection[asyncpg.Record]":
    driver: asyncpg.Connection[asyncpg.Record] = connection.driver_connection
    return driver
