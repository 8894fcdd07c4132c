"""SQLite as it should be: transactions begin when SQLAlchemy says so, and readers do not wait for a writer."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import ConnectionPoolEntry

LOCK_TIMEOUT_S = 5.0
"""How long a writer waits for another before it raises "database is locked"."""


def prepare_sqlite(path: Path) -> None:
    """Make the file; that it keeps a write-ahead log is written into it for good."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def mend_sqlite(engine: Engine, *, begins: bool) -> None:
    """Take transaction control over from the driver, which emits no BEGIN before SELECT or SAVEPOINT.

    Left alone, a released savepoint is the whole transaction: it stays where the test rolls back. With `begins`
    SQLAlchemy's "begin" is a BEGIN. What a test writes need not outlive the machine, so nothing is synchronised.
    """

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.close()

    if begins:

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN")
