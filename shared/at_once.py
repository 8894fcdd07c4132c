"""Statements that are transactions of their own, sent straight to PostgreSQL's driver.

What SQLAlchemy does around a statement is little among many, and half a millisecond of a lone job's way through a
worker that has just woken up. The text is still SQLAlchemy's, and the connections are the engine's.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from asyncpg import PostgresError
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_, greenlet_spawn

Around = Callable[[str], AbstractContextManager[object]]


class _Text(NamedTuple):
    """A statement for the driver: its text, its parameters in order, and the values of those that are its own."""

    text: str
    names: tuple[str, ...]
    own: Mapping[str, Any]


class AtOnce:
    """The way to the database for a statement that needs no other beside it.

    It is told to `around`, which may be set to know of each; SQLAlchemy's own events do not tell of it.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._texts: dict[Select[Any], _Text] = {}
        self.around: Around = lambda _: nullcontext()

    async def first(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row that `statement` gives, committed; `values` are in the form that the driver takes.

        Raises what asyncpg raises; where that is no answer of the database's, it may have been committed all the same.
        """
        text, names, own = self._text_of(statement)
        parameters = [*map({**own, **values}.__getitem__, names)]
        with self.around(text):
            row = await greenlet_spawn(self._fetch, text, parameters)
        return None if row is None else tuple(row)

    def _fetch(self, text: str, parameters: Sequence[Any]) -> Any:
        """In a greenlet, as the pool and its connections want it when they have to wait for something."""
        connection = self._engine.sync_engine.raw_connection()
        driver: Any = connection.driver_connection
        try:
            return await_(driver.fetchrow(text, *parameters))
        except BaseException as error:
            # After an error that the server tells, the connection is as it was, unless the server ended it.
            if not isinstance(error, PostgresError) or driver.is_closed():
                connection.invalidate()
            raise
        finally:
            connection.close()

    def _text_of(self, statement: Select[Any]) -> _Text:
        known = self._texts.get(statement)
        if known is None:
            compiled: Any = statement.compile(dialect=self._engine.dialect)
            known = self._texts[statement] = _Text(str(compiled), tuple(compiled.positiontup), compiled.params)
        return known
