"""Engines and sessions for PostgreSQL and SQLite, with SQLite's transaction traps mended."""

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from shared.at_once import AtOnce
from shared.encoding import encode

POOLER = "pooler"
TRANSACTION = "transaction"

Sessions = async_sessionmaker[AsyncSession]

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
LOCK_TIMEOUT_S = 2
"""A claim waits for another's lock for milliseconds; longer, somebody outside holds it."""
IDLE_IN_TRANSACTION_S = 10
"""A claim thinks for milliseconds between two statements; longer, its worker stands still or its machine is gone, and
others want the names that it holds. They try for longer than this."""
SQLITE_LOCK_TIMEOUT_S = 10
"""SQLite has one lock for all."""


@dataclass(frozen=True)
class Database:
    """One database, opened. `writes` is for transactions that insert, `reads` for all others.

    On `at_once` a statement may be a transaction of its own, without round trips for its begin and its end. There is
    none where that would save nothing, or leave the statement without its limits.

    On PostgreSQL the two are the same pool. SQLite has one writer at a time, so its writers queue for a single
    connection here, in order and at once, and not in the driver's busy loop, and begin with BEGIN IMMEDIATE:
    a transaction that begins as a reader cannot always become a writer.
    """

    reader: AsyncEngine
    writer: AsyncEngine
    at_once: AtOnce | None = None

    @property
    def reads(self) -> Sessions:
        return async_sessionmaker(self.reader, expire_on_commit=False)

    @property
    def writes(self) -> Sessions:
        return async_sessionmaker(self.writer, expire_on_commit=False)

    async def answers(self) -> bool:
        """Whether the database can be asked anything now."""
        try:
            async with self.reader.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:  # noqa: BLE001  # whatever the driver says, it is not an answer
            return False
        return True

    async def close(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()


def open_database(
    url: str, *, pool_size: int = 20, statement_timeout_s: float | None = STATEMENT_TIMEOUT_S
) -> Database:
    """Engines for `url`; connects to nothing yet. `pool_size` bounds the connections at a time.

    `?pooler=transaction` at the end of a PostgreSQL URL says that a pooler such as pgbouncer stands before it and
    gives each transaction any of its connections.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        reader = _sqlite_engine(url, begin="BEGIN", pool_size=pool_size)
        writer = _sqlite_engine(url, begin="BEGIN IMMEDIATE", pool_size=1)
        return Database(reader, writer)
    pooled = address.query.get(POOLER) == TRANSACTION
    plain = address.difference_update_query([POOLER])
    engine = _postgresql_engine(plain, pool_size=pool_size, pooled=pooled, statement_timeout_s=statement_timeout_s)
    return Database(engine, engine, at_once=None if pooled else AtOnce(engine))


def _postgresql_engine(url: URL, *, pool_size: int, pooled: bool, statement_timeout_s: float | None) -> AsyncEngine:
    engine = create_async_engine(
        url,
        json_serializer=_dump_json,
        json_deserializer=_load_json,
        hide_parameters=True,  # an error is logged, and what callers sent is not the log's
        pool_size=pool_size,
        pool_use_lifo=True,  # one that was used a moment ago has its statements prepared and its plans at hand
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_S,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": statement_timeout_s,
            **(_ANY_CONNECTION if pooled else _OWN_CONNECTION),
        },
    )
    if pooled:
        limit_transactions(engine)
    return engine


def limit_transactions(engine: AsyncEngine) -> None:
    """Let each transaction of `engine` set its own limits, where the connections are not ours to set them."""
    local = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _LIMITS.items())

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT {local}")


_LIMITS = {
    "lock_timeout": f"{LOCK_TIMEOUT_S}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",
    # A connection keeps the plan of a statement, and one that was made while a table was small reads all of the table
    # when it is large, until it is analyzed: a claim of 500 took 450 ms instead of 30. Here an index leads to each row.
    "enable_seqscan": "off",
}
_OWN_CONNECTION = {"server_settings": {"application_name": "dibs", **_LIMITS}}
_ANY_CONNECTION: dict[str, Any] = {
    "server_settings": {"application_name": "dibs"},  # pgbouncer knows this one, and refuses most others
    # What one transaction prepared, the next would not find, or find prepared by somebody else.
    "statement_cache_size": 0,
    "prepared_statement_cache_size": 0,
    "prepared_statement_name_func": str,
}


def _dump_json(value: Any) -> str:
    return encode(value).decode()


def _load_json(stored: str | float) -> Any:
    """SQLite gives a bare number in a JSON column back as a number."""
    return orjson.loads(stored) if isinstance(stored, str | bytes) else stored


def _sqlite_engine(url: str, *, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        json_serializer=_dump_json,
        json_deserializer=_load_json,
        hide_parameters=True,  # an error is logged, and what callers sent is not the log's
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_S,
        connect_args={"timeout": SQLITE_LOCK_TIMEOUT_S},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _entry: ConnectionPoolEntry) -> None:
        # The driver's own transaction control emits no BEGIN before SELECT or SAVEPOINT: take it over.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # WAL with NORMAL may lose the last commits at a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
