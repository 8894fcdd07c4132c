"""An engine for one test: its pool, its loop, and who holds its connections."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from shared.testing.places import place
from shared.testing.sqlite import LOCK_TIMEOUT_S, mend_sqlite

Held = dict[ConnectionPoolEntry, str]
"""Connections that were taken from a pool and not returned, and where they were taken."""


class OtherLoop(RuntimeError):  # noqa: N818
    """A connection is wanted in another event loop than the fixture's: both need the same `loop_scope`."""


def make_engine(url: str, options: Mapping[str, Any]) -> AsyncEngine:
    """An engine for `url`, with SQLite's transactions mended; `options` go to `create_async_engine`."""
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    # Named, since SQLAlchemy would let all sessions share one connection to a database in memory.
    sqlite = {"connect_args": {"timeout": LOCK_TIMEOUT_S}, "poolclass": AsyncAdaptedQueuePool}
    defaults: dict[str, Any] = sqlite if is_sqlite else {}
    engine = create_async_engine(url, **(defaults | dict(options)))
    if is_sqlite:
        mend_sqlite(engine.sync_engine, begins=True)
    return engine


@asynccontextmanager
async def opened_engine(url: str, options: Mapping[str, Any]) -> AsyncIterator[tuple[AsyncEngine, Held]]:
    """An engine for this loop, and what of its connections is held.

    What is still held at the end is closed by force: it would keep its database from being dropped.
    """
    engine = make_engine(url, options)
    held = watch(engine.pool)
    _hold_to_loop(engine)
    try:
        yield engine, held
    finally:
        for entry in list(held):
            await greenlet_spawn(entry.invalidate)
        await engine.dispose()


def watch(pool: Pool) -> Held:
    """Keeps what `pool` handed out and did not get back yet."""
    held: Held = {}

    @event.listens_for(pool, "checkout")
    def _taken(_dbapi: Any, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        held[entry] = place()

    @event.listens_for(pool, "checkin")
    def _returned(_dbapi: Any, entry: ConnectionPoolEntry) -> None:
        held.pop(entry, None)

    return held


def _hold_to_loop(engine: AsyncEngine) -> None:
    loop = asyncio.get_running_loop()

    @event.listens_for(engine.sync_engine, "do_connect")
    def _connecting(*_: Any) -> None:
        if asyncio.get_running_loop() is not loop:
            raise OtherLoop(
                "this engine was made in another event loop than the one that uses it: "
                "let asyncio_default_fixture_loop_scope and asyncio_default_test_loop_scope be the same"
            )
