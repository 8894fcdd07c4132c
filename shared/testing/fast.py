"""The fast mode: one connection for the whole session, and around each test a transaction that is rolled back.

The engine that a test gets looks like any other. But its pool has one connection, and what SQLAlchemy sends as
BEGIN, COMMIT and ROLLBACK goes out as SAVEPOINT, RELEASE and ROLLBACK TO: whatever opens a session or a connection
on it may commit and roll back as it likes, and nothing remains. It is what `join_transaction_mode="create_savepoint"`
does for one session on one connection, for all that use the engine.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
import asyncpg
from sqlalchemy import StaticPool, event, make_url
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_, greenlet_spawn

from shared.testing.backstage import Backstage, Elsewhere
from shared.testing.engines import Held
from shared.testing.places import place
from shared.testing.sqlite import mend_sqlite

SAVEPOINT = "dibs_test"


class TwoAtOnce(RuntimeError):  # noqa: N818
    """Two sessions or connections were open at once; the fast mode has one connection for all of them."""


class NotInFastMode(RuntimeError):  # noqa: N818
    """What was asked for needs connections of its own: `pytest.mark.dibs(mode="engine")`."""


class TransactionLost(RuntimeError):  # noqa: N818
    """The one connection was lost in the middle of the test, and with it all that the test had done."""


class OneConnection(StaticPool):
    """Lends its one connection to one at a time, and says who has it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.held: Held = {}
        self.in_transaction: DBAPIConnection | None = None
        """The connection with the transaction around the test. Another one would commit for good."""

    def _do_get(self) -> ConnectionPoolEntry:
        here = place()
        for there in self.held.values():
            raise TwoAtOnce(
                f"two sessions at once, and the fast mode has one connection: the first has it since\\n  {there}\\n"
                f"and the second wants it at\\n  {here}\\n"
                'Let the first commit, roll back or close before, or mark the test with dibs(mode="engine").'
            )
        entry = super()._do_get()
        if self.in_transaction is not None and entry.dbapi_connection is not self.in_transaction:
            raise TransactionLost(
                "the connection with the transaction around the test was lost, and with it all that the test had "
                'done; a test that means to lose connections is marked with dibs(mode="engine")'
            )
        self.held[entry] = here
        return entry

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self.held.pop(record, None)

    def dispose(self) -> None:
        """Whoever disposes of the engine, as an application does that shuts down, leaves the connection."""

    def recreate(self) -> StaticPool:
        return self

    def end(self) -> None:
        super().dispose()


class FastDatabase:
    """One database with one open connection, for all tests of a session that share it one after the other."""

    def __init__(self, url: str, options: Mapping[str, Any], backstage: Backstage) -> None:
        self._url = url
        self._options = {k: v for k, v in options.items() if not k.startswith(("pool", "max_overflow", "isolation"))}
        self._backstage = backstage
        self._engine: AsyncEngine | None = None
        self._savepoint = _Savepoint()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[AsyncEngine, Held]]:
        """An engine whose doings are undone at the end, and what of its one connection is held."""
        if self._engine is None:
            self._engine = await self._open()
        pool = self._engine.pool
        assert isinstance(pool, OneConnection)
        connection = pool.connection.dbapi_connection
        assert connection is not None
        pool.in_transaction = connection
        try:
            # Listeners that the test adds are the test's own: on an engine of its own, with the same pool.
            yield AsyncEngine(self._engine.sync_engine.execution_options()), pool.held
        finally:
            self._savepoint.forget()
            pool.in_transaction = None
            if not await self._rolled_back(pool, connection):
                await self.close()  # and with it all that the test did is gone; the next test opens another

    async def _rolled_back(self, pool: OneConnection, connection: DBAPIConnection) -> bool:
        """Whether the one connection is as it was before the test: not lost, and not held by anybody any more."""
        for entry in list(pool.held):
            await greenlet_spawn(entry.invalidate)
            pool.held.clear()
        if pool.connection.dbapi_connection is not connection:
            return False
        try:
            await greenlet_spawn(connection.rollback)
        except DBAPIError:
            return False
        return True

    async def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            assert isinstance(engine.pool, OneConnection)
            await greenlet_spawn(engine.pool.end)

    async def _open(self) -> AsyncEngine:
        options = {"poolclass": OneConnection, **self._options}
        is_sqlite = make_url(self._url).get_backend_name() == "sqlite"
        if not is_sqlite:
            options["connect_args"] = {**options.get("connect_args", {}), "async_creator_fn": self._connect}
        engine = create_async_engine(self._url, **options)
        if is_sqlite:
            mend_sqlite(engine.sync_engine, begins=False)
        async with engine.connect():
            pass  # the dialect asks the server what it is once, before the statements below are others
        self._savepoint.take_over(engine.sync_engine)
        return engine

    async def _connect(self, *args: Any, **kwargs: Any) -> Any:
        return Elsewhere(self._backstage, await self._backstage.borrow(_connected(*args, **kwargs)))


async def _connected(*args: Any, **kwargs: Any) -> Any:
    return await asyncpg.connect(*args, **kwargs)


def _run(connection: Any, statement: str) -> None:
    driver = connection.driver_connection
    if isinstance(driver, aiosqlite.Connection):
        # One visit to its thread; a cursor of SQLAlchemy's makes three. A script would commit what is open: the first
        # statements of a test are one, when nothing is.
        await_(driver.executescript(statement) if ";" in statement else driver.execute(statement))
        return
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()


class _Savepoint:
    """What the dialect takes for a transaction: a savepoint, one at a time, inside of the test's transaction."""

    def __init__(self) -> None:
        self._begins = ""
        self._has_begun = False
        self._is_set = False
        self._is_open = False

    def begin(self, connection: DBAPIConnection) -> None:
        """The first of a test begins the transaction around it as well; asyncpg does that by itself."""
        if not self._is_set:  # one that was rolled back to is still there
            begins, self._has_begun = "" if self._has_begun else self._begins, True
            _run(connection, f"{begins}SAVEPOINT {SAVEPOINT}")
        self._is_set = self._is_open = True

    def commit(self, connection: DBAPIConnection) -> None:
        _run(connection, f"RELEASE SAVEPOINT {SAVEPOINT}")
        self._is_set = self._is_open = False

    def roll_back(self, connection: DBAPIConnection) -> None:
        """The pool calls this too, for each connection that comes back, whether something is open or not."""
        if self._is_open:
            _run(connection, f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
            self._is_open = False

    def forget(self) -> None:
        """The transaction around the test is over."""
        self._has_begun = self._is_set = self._is_open = False

    def take_over(self, engine: Engine) -> None:
        """Stand in for the dialect's own hooks."""
        dialect: Any = engine.dialect
        self._begins = "BEGIN; " if dialect.name == "sqlite" else ""
        dialect.do_begin, dialect.do_commit, dialect.do_rollback = self.begin, self.commit, self.roll_back
        dialect.set_isolation_level = _refuse_isolation
        event.listen(engine, "handle_error", _outlive_a_cancel)


def _outlive_a_cancel(context: ExceptionContext) -> None:
    """SQLAlchemy throws a connection away whose statement was cancelled; this one still has the transaction."""
    if isinstance(context.original_exception, asyncio.CancelledError):
        context.is_disconnect = False


def _refuse_isolation(_connection: DBAPIConnection, level: str) -> None:
    raise NotInFastMode(
        f"isolation level {level} cannot be set inside of the transaction around the test: "
        'mark the test with dibs(mode="engine")'
    )
