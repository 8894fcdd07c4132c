"""One run's database and Redis: what was committed when, and whether it is what was asked for."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

if TYPE_CHECKING:
    import asyncpg

LOOK_EVERY_S = 0.05

BEGAN = """
SELECT extract(epoch FROM min(backend_start)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
LAST_COMMIT = """
SELECT extract(epoch FROM max(at))
FROM (SELECT pg_xact_commit_timestamp(xmin) AS at FROM animals ORDER BY at LIMIT $1) AS commits
"""
RECEIPTS = "SELECT count(*) FROM receipts WHERE status = 'succeeded' AND choice = 0"


class LostOrDoubled(Exception):  # noqa: N818
    """The tables are not what the adds should have made of them: the benchmark has failed."""


class TooSlow(Exception):  # noqa: N818
    """The adds were not done within a generous time."""


@dataclass(frozen=True)
class Stage:
    database_url: str
    redis_url: str
    sql: "asyncpg.Connection[Any]"
    redis: Redis

    async def until(self, rows: int, *, within_s: float, alive: Callable[[], None]) -> None:
        """Return when `rows` rows are committed; `alive` raises if nobody works on it any more.

        Looks at the sequence first, which costs the database nothing.
        """
        give_up_at = time.monotonic() + within_s
        while True:
            if await self.sql.fetchval("SELECT last_value FROM animals_id_seq") >= rows and await self.rows() >= rows:
                return
            alive()
            if time.monotonic() > give_up_at:
                raise TooSlow(f"{await self.rows()} of {rows} rows after {within_s:g} s")
            await asyncio.sleep(LOOK_EVERY_S)

    async def rows(self) -> int:
        return int(await self.sql.fetchval("SELECT count(*) FROM animals"))

    async def receipts(self) -> int:
        return int(await self.sql.fetchval("SELECT count(*) FROM receipts"))

    async def began_s(self) -> float:
        """When the first worker that still runs connected to the database, in seconds since the epoch.

        That is the start of the clock for who has a queue to drain: all pools connect for the first job, and only
        the start of the process lies before. The first commit would be too late for a start: whoever commits many
        rows at a time has worked on more than those of its first commit by then.
        """
        return float(await self.sql.fetchval(BEGAN))

    async def last_commit_s(self, *, first_rows: int | None = None) -> float:
        """When the last row was committed, or the last of those `first_rows` that came first; on the same clock."""
        return float(await self.sql.fetchval(LAST_COMMIT, first_rows))

    async def check(self, adds: int, *, receipts: bool, may_double: bool = False) -> int:
        """Each of `adds` adds must have its first candidate, once, and its receipt; raises `LostOrDoubled`.

        With `may_double`, returns how many were inserted a second time: at least once is all that the rivals promise.
        """
        rows = await self.rows()
        firsts = int(await self.sql.fetchval("SELECT count(*) FROM animals WHERE name LIKE '%-0'"))
        if firsts != adds or (rows != adds and not may_double):
            raise LostOrDoubled(f"{adds} adds made {rows} rows, {firsts} of them first candidates")
        if receipts:
            found, succeeded = await self.receipts(), int(await self.sql.fetchval(RECEIPTS))
            if found != adds or succeeded != adds:
                raise LostOrDoubled(f"{adds} adds made {found} receipts, {succeeded} of them of a first candidate")
        return rows - adds

    async def commands(self) -> int:
        """Commands that Redis has run until now, those inside of scripts included."""
        info: dict[str, Any] = await self.redis.info("stats")
        return int(info["total_commands_processed"])
