"""The blows, as they fall."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from arq.constants import in_progress_key_prefix, job_key_prefix
from redis.asyncio import Redis

from shared.payload import read_batch
from shared.queue import Queue
from shared.redis import REDIS_FAULTS
from tests.benchmarks.servers import plain
from tests.chaos.processes import Slot
from tests.chaos.schedule import Blow, Kind
from tests.services import PrivatePostgres, PrivateRedis
from tests.waiting import until

ANOTHER_S = 60.0
"""How long a blow waits until somebody else stands."""

AT_WORK_S = 1.5
"""How long a blow waits until its victim has something in its hands."""


HOLD = "INSERT INTO animals (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"


@dataclass(frozen=True)
class Death:
    """A killed worker, and the jobs of each batch that it held."""

    at: float
    held: dict[str, list[UUID]]


@dataclass
class Blows:
    """Who is hit, and what was seen of it."""

    apis: list[Slot]
    workers: list[Slot]
    postgres: PrivatePostgres
    redis: PrivateRedis
    queue: Queue
    wanted_names: Callable[[], Iterable[str]]
    counts: Counter[str] = field(default_factory=Counter)
    deaths: list[Death] = field(default_factory=list)
    stops: list[Death] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)
    """When a server was away, from when to when."""
    _servers: dict[str, asyncio.Lock] = field(
        default_factory=lambda: {"redis": asyncio.Lock(), "postgres": asyncio.Lock()}
    )
    _standing: set[str] = field(default_factory=set)
    _broken: list[BaseException] = field(default_factory=list)
    _lasting: set[asyncio.Task[None]] = field(default_factory=set)

    async def strike(self, blow: Blow) -> None:
        """Let `blow` fall; what lasts goes on beside the next ones."""
        for error in self._broken:
            raise error
        self.counts[blow.kind] += 1
        match blow.kind:
            case Kind.KILL_API | Kind.TERM_API:
                await self._end(self.apis, blow, signal.SIGKILL if blow.kind is Kind.KILL_API else signal.SIGTERM)
            case Kind.KILL_WORKER | Kind.TERM_WORKER:
                await self._end(self.workers, blow, signal.SIGKILL if blow.kind is Kind.KILL_WORKER else signal.SIGTERM)
            case Kind.STOP_WORKER:
                self._let_last(self._stand_still(blow))
            case Kind.KILL_REDIS | Kind.TERM_REDIS:
                self._let_last(self._redis_away(blow))
            case Kind.KILL_POSTGRES | Kind.TERM_POSTGRES:
                self._let_last(self._postgres_away(blow))

    async def over(self) -> None:
        """Return when everything that was hit is up again."""
        while self._lasting:
            await asyncio.gather(*self._lasting)
        await asyncio.gather(*(slot.up.wait() for slot in (*self.apis, *self.workers)))

    async def _end(self, slots: list[Slot], blow: Blow, how: signal.Signals) -> None:
        slot = await self._next_victim(slots, blow)
        if blow.kind is not Kind.KILL_WORKER:
            slot.tell(how)
            return
        async with self._names_held():
            held = await self._caught_at_work(slot)
            at = time.time()
            slot.tell(how)
        self._standing.discard(slot.name)
        self.deaths.append(Death(at, held))

    @contextlib.asynccontextmanager
    async def _names_held(self) -> AsyncIterator[None]:
        """The names that are wanted now are inserted and not committed, so that claims last; not where nobody can."""
        try:
            sql = await asyncpg.connect(plain(self.postgres.url()), timeout=1)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            yield
            return
        try:
            held = sql.transaction()
            await held.start()
            await sql.execute(HOLD, list(self.wanted_names()), timeout=1)
            yield
            await held.rollback()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass
        finally:
            sql.terminate()

    async def _caught_at_work(self, slot: Slot) -> dict[str, list[UUID]]:
        """Let the worker stand still while it holds something, if it soon does, and say what."""
        give_up_at = time.monotonic() + AT_WORK_S
        while time.monotonic() < give_up_at:
            if await self._held_by(slot.pid):
                slot.tell(signal.SIGSTOP)
                if held := await self._held_by(slot.pid):
                    return held
                slot.tell(signal.SIGCONT)
        return {}

    async def _next_victim(self, slots: list[Slot], blow: Blow) -> Slot:
        """The one that is meant, once it is up and another is as well."""
        slot = slots[blow.target]
        async with asyncio.timeout(ANOTHER_S):
            await slot.up.wait()
            await until(lambda: self._another_stands(slots, slot), patience_s=ANOTHER_S)
            await slot.up.wait()
        return slot

    async def _another_stands(self, slots: list[Slot], than: Slot) -> bool:
        return any(slot.up.is_set() and slot.name not in self._standing for slot in slots if slot is not than)

    async def _stand_still(self, blow: Blow) -> None:
        slot = await self._next_victim(self.workers, blow)
        pid = slot.pid
        slot.tell(signal.SIGSTOP)
        self._standing.add(slot.name)
        self.stops.append(Death(time.time(), await self._held_by(pid)))
        await asyncio.sleep(blow.lasts_s)
        self._standing.discard(slot.name)
        if slot.pid == pid:
            slot.tell(signal.SIGCONT)

    async def _redis_away(self, blow: Blow) -> None:
        async with self._servers["redis"], self._noted():
            await asyncio.to_thread(self.redis.kill if blow.kind is Kind.KILL_REDIS else self.redis.stop)
            await asyncio.sleep(blow.lasts_s)
            await asyncio.to_thread(self.redis.start)

    async def _postgres_away(self, blow: Blow) -> None:
        async with self._servers["postgres"], self._noted():
            await asyncio.to_thread(self.postgres.kill if blow.kind is Kind.KILL_POSTGRES else self.postgres.stop)
            await asyncio.sleep(blow.lasts_s)
            await asyncio.to_thread(self.postgres.start)

    @contextlib.asynccontextmanager
    async def _noted(self) -> AsyncIterator[None]:
        since = time.time()
        yield
        self.away.append((since, time.time()))

    def _let_last(self, what: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(what)
        self._lasting.add(task)
        task.add_done_callback(self._lasted)

    def _lasted(self, task: asyncio.Task[None]) -> None:
        self._lasting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken.append(error)

    async def _held_by(self, pid: int) -> dict[str, list[UUID]]:
        """The batches whose leases process `pid` holds, with their jobs; none where Redis cannot say so."""
        try:
            return await held_by(self.queue, pid)
        except REDIS_FAULTS:
            return {}


async def held_by(queue: Queue, pid: int) -> dict[str, list[UUID]]:
    redis: Redis = queue.redis
    batches = [batch.decode() for batch in await redis.zrange(queue.batches, 0, -1)]
    leases = await _get(redis, (f"{in_progress_key_prefix}{batch}" for batch in batches))
    mine = [
        batch for batch, lease in zip(batches, leases, strict=True) if lease and lease.split(b":")[1:2] == [b"%d" % pid]
    ]
    payloads = await _get(redis, (f"{job_key_prefix}{batch}" for batch in mine))
    contents = [(batch, read_batch(payload)) for batch, payload in zip(mine, payloads, strict=True) if payload]
    return {batch: [job.id for job in content.jobs] for batch, content in contents if content}


async def _get(redis: Redis, keys: Iterable[str]) -> list[bytes | None]:
    wanted = list(keys)
    return list(await redis.mget(wanted)) if wanted else []
