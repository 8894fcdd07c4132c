"""What the driver really sent to the database, BEGIN and ROLLBACK included."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import Pool, event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_, greenlet_spawn

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class Sent:
    """The statements of every connection that is opened while it listens, in the order in which they were sent."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    @property
    def outline(self) -> list[str]:
        """The statements by their first word; those that end or begin a transaction in full."""
        return [s if s.startswith(CONTROL) else s.partition(" ")[0] for s in self.statements]

    def clear(self) -> None:
        self.statements.clear()

    def note(self, statement: str) -> None:
        plain = " ".join(statement.split()).rstrip("; ")
        # asyncpg names a savepoint by the address of its transaction, and SQLite tells of triggers in comments.
        plain = re.sub(r'"?__asyncpg_savepoint_\w+"?', "asyncpg_savepoint", plain)
        if plain and not plain.startswith(("PRAGMA", "--")):
            self.statements.append(plain)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """To the connections that any engine opens."""
        event.listen(Pool, "connect", self._connected)
        try:
            yield
        finally:
            event.remove(Pool, "connect", self._connected)

    @asynccontextmanager
    async def listening_to(self, engine: AsyncEngine) -> AsyncIterator[None]:
        """To a connection that is open already, as that of the fast mode is."""
        async with engine.connect() as connection:
            adapted = (await connection.get_raw_connection()).dbapi_connection
        await greenlet_spawn(self._connected, adapted, None)
        try:
            yield
        finally:
            await greenlet_spawn(self._left, adapted)

    def _connected(self, connection: Any, _entry: Any) -> None:
        driver = connection.driver_connection
        if hasattr(driver, "set_trace_callback"):
            await_(driver.set_trace_callback(self.note))
        else:
            driver = getattr(driver, "lent", driver)
            driver._protocol = _Overheard(driver._protocol, self.note)

    def _left(self, connection: Any) -> None:
        driver = connection.driver_connection
        if hasattr(driver, "set_trace_callback"):
            await_(driver.set_trace_callback(None))
        else:
            driver = getattr(driver, "lent", driver)
            driver._protocol = driver._protocol.overheard


class _Overheard:
    """asyncpg's protocol, with an ear on it: its own query loggers hear nothing of prepared statements."""

    def __init__(self, overheard: Any, note: Callable[[str], None]) -> None:
        self.overheard = overheard
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self.overheard, name)

    def query(self, query: str, *args: Any) -> Any:
        self._note(query)
        return self.overheard.query(query, *args)

    def bind_execute(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        self._note(state.query)
        return self.overheard.bind_execute(state, *args, **kwargs)

    def bind_execute_many(self, state: Any, *args: Any, **kwargs: Any) -> Any:
        self._note(state.query)
        return self.overheard.bind_execute_many(state, *args, **kwargs)
