"""Faults of the database, raised by the driver in the next statement, on whatever session it is.

On PostgreSQL the server itself raises them, by `RAISE` in the place of the statement or by ending the connection:
class, SQLSTATE, the aborted transaction are the real ones. SQLite cannot be asked to, so there the driver's own
exception is made, with SQLite's code; like SQLite's own it undoes the statement and leaves the transaction open.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
from sqlalchemy import ClauseElement, Engine, Select, Table, UniqueConstraint, UpdateBase, event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from sqlalchemy.sql import visitors
from sqlalchemy.util import await_

from shared.testing.points import NeverHappened
from shared.testing.verbs import verb_of

FaultName = Literal["deadlock", "serialization failure", "lock timeout", "taken name", "lost connection"]
Verb = Literal["insert", "update", "delete", "select"]

FLUSH: tuple[Verb, ...] = ("insert", "update", "delete")


@dataclass(frozen=True)
class _Code:
    sqlstate: str
    message: str
    sqlite_name: str
    sqlite_code: int
    sqlite_message: str


CODES: dict[FaultName, _Code] = {
    "deadlock": _Code("40P01", "deadlock detected", "SQLITE_BUSY", 5, "database is locked"),
    "serialization failure": _Code(
        "40001", "could not serialize access", "SQLITE_BUSY_SNAPSHOT", 517, "database is locked"
    ),
    "lock timeout": _Code(
        "55P03", "canceling statement due to lock timeout", "SQLITE_BUSY_TIMEOUT", 773, "database is locked"
    ),
    "taken name": _Code(
        "23505", "duplicate key value violates unique constraint", "SQLITE_CONSTRAINT_UNIQUE", 2067, ""
    ),
    "lost connection": _Code("57P01", "", "SQLITE_IOERR", 10, "disk I/O error"),
}
"""PostgreSQL, Appendix A, and sqlite.org/rescode.html. SQLite answers to a deadlock with "busy", and the nearest that
it has to a lost connection is a file that cannot be read any more."""


@dataclass
class _Armed:
    """A fault that waits for its statement."""

    fault: FaultName
    where: str
    verbs: tuple[Verb, ...] = ()
    table: str | None = None
    in_flush: bool = False
    at_commit: bool = False
    happened: bool = False

    def takes(self, verb: str, table: str | None, *, in_flush: bool) -> bool:
        return (
            not self.happened
            and not self.at_commit
            and (in_flush or not self.in_flush)
            and verb in self.verbs
            and self.table in {None, table}
        )


class Faults:
    """Lets the next flush, statement or commit of the process meet a fault."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._flushing: dict[Session, asyncio.Task[Any] | None] = {}

    def next_flush(self, fault: FaultName, *, table: str | None = None) -> None:
        """The first statement that a session's next flush sends, of `table` if it is given, meets `fault`."""
        self._arm(_Armed(fault, "flush", FLUSH, table, in_flush=True))

    def next_statement(self, fault: FaultName, verb: Verb = "insert", *, table: str | None = None) -> None:
        """The next statement that begins with `verb` meets `fault`, whoever sends it."""
        self._arm(_Armed(fault, verb, (verb,), table))

    def next_commit(self, fault: FaultName) -> None:
        """The next commit meets `fault`, as serializable transactions do and connections that are lost late."""
        self._arm(_Armed(fault, "commit", at_commit=True))

    def _arm(self, armed: _Armed) -> None:
        if armed.fault not in CODES:
            raise ValueError(f"there is no fault {armed.fault!r}; there are {', '.join(CODES)}")
        self._armed.append(armed)

    def check(self) -> None:
        """Raises `NeverHappened` if a fault was not met: then the test shows nothing."""
        if left := [f"{a.fault} at the next {a.where}" for a in self._armed if not a.happened]:
            raise NeverHappened(f"prepared, and never happened: {'; '.join(left)}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """To every session and every engine of this process."""
        listeners: list[tuple[Any, str, Callable[..., None]]] = [
            (Session, "before_flush", self._before_flush),
            (Session, "after_flush", self._after_flush),
            (Session, "after_soft_rollback", self._after_flush),
            (Engine, "before_cursor_execute", self._before_statement),
            (Engine, "commit", self._before_commit),
        ]
        for target, name, listener in listeners:
            event.listen(target, name, listener)
        try:
            yield
        finally:
            for target, name, listener in listeners:
                event.remove(target, name, listener)

    def _before_flush(self, session: Session, *_: Any) -> None:
        self._flushing[session] = asyncio.current_task()

    def _after_flush(self, session: Session, *_: Any) -> None:
        self._flushing.pop(session, None)

    def _before_statement(self, conn: Connection, cursor: Any, statement: str, _p: Any, context: Any, _m: Any) -> None:
        verb = verb_of(statement)
        table = _table_of(context)
        name = None if table is None else str(table.name)
        for armed in self._armed:
            if armed.takes(verb, name, in_flush=asyncio.current_task() in self._flushing.values()):
                armed.happened = True
                _fail_once(conn, cursor, armed.fault, table)
                return

    def _before_commit(self, conn: Connection) -> None:
        for armed in self._armed:
            if armed.at_commit and not armed.happened:
                armed.happened = True
                _fail_once(conn, None, armed.fault, None)
                conn.exec_driver_sql("SELECT 1")
                return


def _fail_once(conn: Connection, cursor: Any, fault: FaultName, table: Table | None) -> None:
    """Let the driver fail where it would have executed: there SQLAlchemy translates what it raises."""
    hooks = ("do_execute", "do_executemany", "do_execute_no_params")

    def failing(used: Any, *_: Any) -> None:
        if cursor is not None and used is not cursor:
            return
        for hook in hooks:
            event.remove(conn.dialect, hook, failing)
        _meet(conn, used, fault, table)

    for hook in hooks:
        event.listen(conn.dialect, hook, failing)


def _meet(conn: Connection, cursor: Any, fault: FaultName, table: Table | None) -> None:
    if conn.dialect.name == "sqlite":
        raise _sqlite_error(fault, table)
    if fault == "lost connection":
        await_(_end_backend(conn))
        cursor.execute("SELECT 1")
    else:
        cursor.execute(_raise(CODES[fault], table))


def _raise(code: _Code, table: Table | None) -> str:
    """A statement that fails as PostgreSQL's own check would have."""
    options = {"ERRCODE": code.sqlstate, "MESSAGE": code.message}
    if code.sqlstate == "23505" and table is not None:
        name, _ = _unique_key(table)
        options |= {"MESSAGE": f'{code.message} "{name}"', "CONSTRAINT": name, "TABLE": str(table.name)}
    using = ", ".join(f"{option} = {_quoted(value)}" for option, value in options.items())
    return f"DO $dibs$ BEGIN RAISE EXCEPTION USING {using}; END $dibs$"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sqlite_error(fault: FaultName, table: Table | None) -> sqlite3.Error:
    code = CODES[fault]
    message = code.sqlite_message
    kind: type[sqlite3.Error] = sqlite3.OperationalError
    if fault == "taken name":
        kind = sqlite3.IntegrityError
        columns = ["unknown.unknown"] if table is None else [f"{table.name}.{c}" for c in _unique_key(table)[1]]
        message = f"UNIQUE constraint failed: {', '.join(columns)}"
    error = kind(message)
    error.sqlite_errorname, error.sqlite_errorcode = code.sqlite_name, code.sqlite_code
    return error


def _unique_key(table: Table) -> tuple[str, list[str]]:
    """Name and columns of the key that is taken: a unique constraint or index, else the primary key."""
    for constraint in sorted(table.constraints, key=lambda c: str(c.name)):
        if isinstance(constraint, UniqueConstraint):
            columns = [str(column.name) for column in constraint.columns]
            return str(constraint.name or f"{table.name}_{'_'.join(columns)}_key"), columns
    for index in table.indexes:
        if index.unique:
            return str(index.name), [str(column.name) for column in index.columns]
    return str(table.primary_key.name or f"{table.name}_pkey"), [str(c.name) for c in table.primary_key.columns]


async def _end_backend(conn: Connection) -> None:
    """End the server's side of `conn`, as a failover or an operator does, by a connection beside it."""
    driver: Any = conn.connection.driver_connection
    url = conn.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    beside = await asyncpg.connect(url)
    try:
        await beside.execute("SELECT pg_terminate_backend($1, 5000)", driver.get_server_pid())
    finally:
        await beside.close()


def _table_of(context: Any) -> Table | None:
    """The table that a statement of SQLAlchemy's writes to, else the one it reads first; None for plain text."""
    statement = getattr(getattr(context, "compiled", None), "statement", None)
    if not isinstance(statement, ClauseElement):
        return None
    tables = (part.table for part in visitors.iterate(statement) if isinstance(part, UpdateBase))
    written = next((table for table in tables if isinstance(table, Table)), None)
    if written is not None or not isinstance(statement, Select):
        return written
    return next((found for found in statement.get_final_froms() if isinstance(found, Table)), None)
