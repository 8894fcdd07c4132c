"""The clocks of this machine, of Redis and of the database: times cross from one to the other."""

import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from sqlalchemy import text

from dibs.doctor.findings import Finding, fail, ok, warn
from shared.database import Database

NOTABLE_S = 0.5


async def examine(redis: Redis | None, database: Database | None, *, lease_s: float) -> list[Finding]:
    """Compares the clocks of those that answer with this machine's."""
    found = []
    if redis is not None:
        found.append(_judged("redis", *await _ahead_s(lambda: _of_redis(redis)), lease_s))
    if database is not None and database.reader.dialect.name == "postgresql":
        found.append(_judged("the database", *await _ahead_s(lambda: _of_database(database)), lease_s))
    return found


async def _ahead_s(ask: Callable[[], Awaitable[float]]) -> tuple[float, float]:
    """How far the other clock is ahead of ours, and how far off that may be: half of the way there and back."""
    await ask()  # the connection is made by now
    begun = time.time()
    theirs = await ask()
    took_s = time.time() - begun
    return theirs - (begun + took_s / 2), took_s / 2


async def _of_redis(redis: Redis) -> float:
    seconds, microseconds = await redis.time()
    return int(seconds) + int(microseconds) / 1e6


async def _of_database(database: Database) -> float:
    async with database.reads() as session:
        return float((await session.execute(text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one())


def _judged(whose: str, ahead_s: float, unsure_s: float, lease_s: float) -> Finding:
    off_s = max(0.0, abs(ahead_s) - unsure_s)
    seen = f"{whose} is {abs(ahead_s):.3f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine"
    mend = "let a time service such as chrony set the clocks of all machines"
    if off_s > lease_s:
        return fail("clock", f"{seen}, longer than a lease of {lease_s:g} s", mend)
    return warn("clock", seen, mend) if off_s > NOTABLE_S else ok("clock", seen)
