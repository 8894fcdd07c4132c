"""The queue in Redis: what an add is while it waits. arq's own keys hold the batch, the tickets hold its jobs.

Keys, all with a time to live:
  arq:job:{batch}           the batch as arq carries it, in JSON; 30 days
  arq:in-progress:{batch}   the lease of the worker that runs it; seconds
  {name}:queue              arq's sorted set of batches, by the time at which they may run; leased ones below zero
  {name}:idle               the workers that wait to be handed a batch, with the lease that each asks for
  {name}:waiting            sorted set of the jobs without a receipt, by the time of their submit
  {name}:ticket:{job}       what a job is until it has a receipt
  {name}:worker:{worker}    a living worker, and what it runs; seconds
  {name}:workers            the names of workers, some of them dead; as long as one lives
  {name}:bulk:{bulk}        how far a bulk was taken in
  {name}:batch:{batch}      tries spent and deliveries excused, where there were any
  {name}:minute:{minute}    how many jobs ended how in that minute; an hour
"""

import os
import secrets
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from shared import tally
from shared.clock import now_ms
from shared.contract import Batch, Job, Status
from shared.encoding import encode
from shared.ids import new_id
from shared.news import dump_news
from shared.payload import dump_job, open_envelope, read_batch
from shared.points import Point, reached
from shared.receipts import Receipt
from shared.tally import Minute
from shared.tickets import Bulk, Delivery, Submitted, Taken, Ticket, Waiting, Worker, dump_ticket

TAKE_BYTES = 256 * 1024
"""How much of payloads one taking of batches may bring; the last of them may go past it."""

BATCH_LETTERS = 36
"""Of the id of a batch, at the beginning of a message that hands it over."""

COUNT_DELIVERIES_S = 88_400
"""How long arq counts the deliveries of a batch."""

KEEP = timedelta(days=30)
"""How long a batch is kept in the queue."""
KEEP_TICKET = KEEP + timedelta(days=1)
"""Longer than the batch, so that a job whose batch expired can still be given its receipt."""

KEEP_NAMES = timedelta(days=1)
"""How long the names of workers are kept when none of them lives."""
KEEP_IDLE = timedelta(minutes=1)
"""How long a worker is taken for idle that was killed while it was; one that lives says so again."""

BELOW = 10**15
"""Taken off the end of a lease, in ms, for the place of its batch in the queue; times themselves are below 10**13."""


_TICKET = TypeAdapter(Ticket)
_WORKER = TypeAdapter(Worker)

_SCRIPTS = Path(__file__).parent / "lua"


class QueueFull(Exception):  # noqa: N818
    """More jobs wait than the limit allows; nothing was taken in."""


class Queue:
    """One queue of dibs in Redis, with every key and script that belongs to it."""

    def __init__(self, redis: Redis, name: str, *, limit: int) -> None:
        self.redis = redis
        self.name = name
        self.limit = limit
        self.batches = self.batches_of(name)
        self.waiting = f"{name}:waiting"
        self.done_channel = f"{name}:done"
        self.wake_channel = f"{name}:wake"
        self._idle = f"{name}:idle"
        self._workers = f"{name}:workers"
        self._submit = redis.register_script((_SCRIPTS / "submit.lua").read_text())
        self._take = redis.register_script((_SCRIPTS / "take.lua").read_text())
        self._hand_back = redis.register_script((_SCRIPTS / "hand_back.lua").read_text())
        self._count = redis.register_script((_SCRIPTS / "count.lua").read_text())
        # What stands in the leases: who holds them, for whoever looks, and never the same twice.
        self._me = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.hand_channel = self._channel_of(self._me)
        self._look = redis.register_script((_SCRIPTS / "look.lua").read_text())
        self._note_bulk = redis.register_script((_SCRIPTS / "note_bulk.lua").read_text())

    @staticmethod
    def batches_of(name: str) -> str:
        """What arq calls its queue."""
        return f"{name}:queue"

    def _channel_of(self, worker: str) -> str:
        return f"{self.name}:hand:{worker}"

    def ticket_key(self, job: UUID | str) -> str:
        return f"{self.name}:ticket:{job}"

    def worker_key(self, worker: str) -> str:
        return f"{self.name}:worker:{worker}"

    def progress_key(self, batch: UUID | str) -> str:
        return f"{self.name}:batch:{batch}"

    async def submit(self, collection: str, jobs: Sequence[Job], *, partly: bool = False) -> list[Submitted]:
        """Take in `jobs` as one batch, in one round trip: all or nothing, or `partly`, for as many as there is room.

        A job whose id already waits is left as it is and its ticket is returned: whether it is the same add is
        for the caller to see. Raises `QueueFull` where all or nothing was asked for, and there is no room.
        """
        batch, ids = new_id(), [str(job.id) for job in jobs]
        head, tail = open_envelope(collection)
        keys = [
            self.batches,
            f"{job_key_prefix}{batch}",
            self.waiting,
            self._idle,
            f"{in_progress_key_prefix}{batch}",
            f"{retry_key_prefix}{batch}",
            *map(self.ticket_key, ids),
        ]
        args: list[Any] = [
            self.limit,
            _ms(KEEP),
            _ms(KEEP_TICKET),
            now_ms(),
            str(batch),
            head,
            tail,
            int(not partly),
            self._channel_of(""),
            BELOW,
            COUNT_DELIVERIES_S,
        ]
        for id_, job in zip(ids, jobs, strict=True):
            args += [id_, dump_ticket(collection, job, batch), dump_job(job)]
        full, *held = await self._submit(keys=keys, args=args)
        if full:
            raise QueueFull
        return [
            Submitted(job.id, None, room=False)
            if ticket == b"full"
            else Submitted(job.id, _TICKET.validate_json(ticket) if ticket else None)
            for job, ticket in zip(jobs, held, strict=True)
        ]

    async def take(self, count: int, lease_s: float, *, listens: bool = False) -> Taken:
        """Lease up to `count` batches that may run now, oldest first, in one round trip.

        A batch that was handed out before is excused from this delivery until `start`. Where there is nothing, who
        `listens` on the `hand_channel` will be handed the next batch there, once: see `handed`.
        """
        left_ms, *parts = await self._take(
            keys=[self.batches, self._idle],
            args=[
                now_ms(), count, TAKE_BYTES, int(lease_s * 1000), COUNT_DELIVERIES_S,
                in_progress_key_prefix, job_key_prefix, retry_key_prefix,
                self.progress_key(""), _ms(KEEP_TICKET), self._me, BELOW, int(listens), _ms(KEEP_IDLE),
            ],
        )  # fmt: skip
        deliveries = [
            Delivery(batch.decode(), read_batch(payload), number, spent, excused)
            for batch, number, spent, excused, payload in zip(*(parts[at::5] for at in range(5)), strict=True)
        ]
        return Taken(deliveries, left_ms / 1000 if left_ms else None)

    def handed(self, message: bytes) -> Delivery | None:
        """The batch in a message on the `hand_channel`, leased to this worker; None in the last one after `leave`."""
        batch, payload = message[:BATCH_LETTERS], message[BATCH_LETTERS:]
        return Delivery(batch.decode(), read_batch(payload), 1) if batch else None

    async def leave(self) -> None:
        """Be handed nothing more: what was handed before has come when the last message does."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._idle, self._me)
            pipe.publish(self.hand_channel, b"")
            await pipe.execute()

    async def finish(self, batches: Sequence[str], receipts: Collection[Receipt]) -> None:
        """Forget `batches` and the jobs of `receipts`, and tell whoever waits for them."""
        ids = [str(receipt.id) for receipt in receipts]
        await self._tell(ids, receipts)
        await reached(Point.TOLD, map(UUID, ids))
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self.batches, *batches)
            for prefix in (in_progress_key_prefix, job_key_prefix, retry_key_prefix, self.progress_key("")):
                pipe.delete(*(f"{prefix}{batch}" for batch in batches))
            self._forget(pipe, ids)
            tally.count(pipe, self.name, _decided_by_a_worker(receipts))
            await pipe.execute()
        await reached(Point.FINISHED, map(UUID, ids))

    async def hand_back(self, batches: Sequence[str], delay_s: float) -> None:
        """Let anybody run `batches` after `delay_s`; one that another worker holds by now stays its."""
        due_ms, wake = now_ms() + int(delay_s * 1000), "" if delay_s else self.wake_channel
        await self._hand_back(keys=[self.batches], args=[due_ms, in_progress_key_prefix, self._me, wake, *batches])

    async def scatter(self, batch: Batch) -> None:
        """Put each job of `batch` into the queue alone; the caller ends the batch itself.

        Each counts as handed out once already, and so as one under which a worker went away.
        """
        async with self.redis.pipeline(transaction=True) as pipe:
            for job in batch.jobs:
                alone = new_id()
                ticket = dump_ticket(batch.collection, job, alone)
                head, tail = open_envelope(batch.collection)
                pipe.set(f"{job_key_prefix}{alone}", head + dump_job(job) + tail, px=_ms(KEEP))
                pipe.set(self.ticket_key(job.id), ticket, px=_ms(KEEP_TICKET))
                pipe.set(f"{retry_key_prefix}{alone}", 1, ex=COUNT_DELIVERIES_S)
                pipe.zadd(self.batches, {str(alone): now_ms()})
            pipe.pexpire(self.batches, _ms(KEEP_TICKET))
            await pipe.execute()

    async def look(self, job: UUID) -> Waiting | None:
        """The state of a job without a receipt; None where Redis has no ticket of it, or a damaged one."""
        return (await self.look_at([job])).get(job)

    async def look_at(self, jobs: Sequence[UUID]) -> dict[UUID, Waiting]:
        """As `look` for each of `jobs`, in one round trip; leaves out those of which nothing is known."""
        if not jobs:
            return {}
        keys = [self.ticket_key(job) for job in jobs]
        answers = await self._look(keys=keys, args=[in_progress_key_prefix, self.progress_key("")])
        found = {}
        for job, (ticket_json, in_progress, tries) in zip(jobs, answers, strict=True):
            with suppress(ValidationError):
                ticket = _TICKET.validate_json(ticket_json)
                status = Status.RUNNING if in_progress else Status.RETRYING if int(tries) else Status.QUEUED
                found[job] = Waiting(job, ticket, status, int(tries))
        return found

    async def job(self, waiting: Waiting) -> Job:
        """The whole job, with its candidates; without them where its batch is lost."""
        payload = await self.redis.get(f"{job_key_prefix}{waiting.ticket.batch}")
        batch = read_batch(payload) if payload else None
        return next((job for job in batch.jobs if job.id == waiting.id), waiting.job()) if batch else waiting.job()

    async def note_bulk(self, bulk: UUID, so_far: Bulk) -> None:
        """Remember how far `bulk` was taken in, unless it was further before."""
        caller, collection, lines, complete = so_far
        await self._note_bulk(
            keys=[f"{self.name}:bulk:{bulk}"], args=[caller, collection, lines, int(complete), _ms(KEEP_TICKET)]
        )

    async def bulk(self, bulk: UUID) -> Bulk | None:
        fields = await self.redis.hmget(f"{self.name}:bulk:{bulk}", Bulk._fields)  # type: ignore[misc, arg-type]  # as in progress
        caller, collection, lines, complete = fields
        return Bulk(caller.decode(), collection.decode(), int(lines), complete == b"1") if collection else None

    async def settle(self, receipts: Collection[Receipt], batch: str | None = None) -> None:
        """Forget the jobs of `receipts`, and the progress of `batch`, and tell whoever waits for them."""
        ids = [str(receipt.id) for receipt in receipts]
        await self._tell(ids, receipts)
        async with self.redis.pipeline(transaction=True) as pipe:
            if batch is not None:
                pipe.delete(self.progress_key(batch))
            self._forget(pipe, ids)
            tally.count(pipe, self.name, receipts if batch is None else _decided_by_a_worker(receipts))
            await pipe.execute()

    async def forget(self, job: UUID) -> None:
        """Forget a job that had its receipt long before it came here."""
        async with self.redis.pipeline(transaction=True) as pipe:
            self._forget(pipe, [str(job)])
            await pipe.execute()

    async def _tell(self, ids: Sequence[str], receipts: Collection[Receipt]) -> None:
        """Wake whoever waits for the jobs. By itself and first, for it writes nothing and so waits for no disk."""
        if receipts:
            await self.redis.publish(self.done_channel, dump_news(ids, receipts))

    def _forget(self, pipe: Pipeline, jobs: Sequence[str]) -> None:
        if not jobs:
            return
        pipe.delete(*map(self.ticket_key, jobs))
        pipe.zrem(self.waiting, *jobs)

    async def spend_try(self, batches: Iterable[str]) -> None:
        """A delivery met a passing fault."""
        await self._note(batches, tries=1, excused=1)

    async def excuse(self, batches: Iterable[str]) -> None:
        """A delivery ended without an outcome and without anybody's fault."""
        await self._note(batches, tries=0, excused=1)

    async def start(self, batches: Iterable[str]) -> None:
        """From now on it is the fault of one of `batches`, handed out before, should the worker die."""
        await self._note(batches, tries=0, excused=-1)

    async def _note(self, batches: Iterable[str], *, tries: int, excused: int) -> None:
        prefix, keep_ms = self.progress_key(""), _ms(KEEP_TICKET)
        await self._count(keys=[self.batches], args=[prefix, keep_ms, tries, excused, *batches])

    async def progress(self, batch: str) -> tuple[int, int]:
        """Tries spent, and deliveries excused."""
        tries, excused = await self.redis.hmget(self.progress_key(batch), ["tries", "excused"])  # type: ignore[misc]  # redis types its commands for both its faces at once
        return int(tries or 0), int(excused or 0)

    async def depth(self) -> int:
        """Jobs without a receipt."""
        return int(await self.redis.zcard(self.waiting))

    async def show_worker(self, worker: Worker, lease_ms: int, *, by_name: bool = True) -> None:
        """Say that `worker` lives, and what it does; `by_name` once in a while, so that it is found.

        Where the last sign of life is gone, the name may be as well: then it is said in any case.
        """
        last = await self.redis.set(self.worker_key(worker.name), encode(worker), px=lease_ms, get=True)
        if last is not None and not by_name:
            return
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.sadd(self._workers, worker.name)
            pipe.pexpire(self._workers, _ms(KEEP_NAMES))
            await pipe.execute()

    async def workers(self) -> list[Worker]:
        """The workers that gave a sign of life within their lease, by name.

        By their names, not by a search: among the keys of a million jobs that takes seconds.
        """
        names = sorted(name.decode() for name in await self.redis.smembers(self._workers))  # type: ignore[misc]  # as in progress
        if not names:
            return []
        shown = dict(zip(names, await self.redis.mget([self.worker_key(name) for name in names]), strict=True))
        if dead := [name for name, one in shown.items() if one is None]:
            # One that was only late says its name again soon.
            await self.redis.srem(self._workers, *dead)  # type: ignore[misc]  # as in progress
        return [_WORKER.validate_json(one) for one in shown.values() if one is not None]

    async def oldest_age_s(self) -> float | None:
        """How long the job that waits longest has waited; None where none waits."""
        found = await self.redis.zrange(self.waiting, 0, 0, withscores=True)
        return max(0.0, (now_ms() - found[0][1]) / 1000) if found else None

    async def last_hour(self) -> list[Minute]:
        """What ended in each of the last 60 minutes, the oldest first."""
        return await tally.last_hour(self.redis, self.name)

    async def oldest(self, count: int) -> list[tuple[UUID, datetime, Waiting | None]]:
        """The `count` jobs that wait longest, since when, and what `look` says of them."""
        found = await self.redis.zrange(self.waiting, 0, count - 1, withscores=True)
        ids = [(UUID(raw.decode()), datetime.fromtimestamp(score / 1000, UTC)) for raw, score in found]
        looked = await self.look_at([job for job, _ in ids])
        return [(job, since, looked.get(job)) for job, since in ids]

    async def waiting_of(self, batch: str) -> list[Waiting]:
        """The jobs of `batch` that wait, found by their tickets; slow, for a batch whose payload is lost."""
        found = []
        async for raw, _ in self.redis.zscan_iter(self.waiting, count=1000):
            waiting = await self.look(UUID(raw.decode()))
            if waiting and str(waiting.ticket.batch) == batch:
                found.append(waiting)
        return found

    async def holds(self, batch: UUID) -> bool:
        """Whether `batch` is still in the queue, waiting or running, with its payload."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.zscore(self.batches, str(batch))
            pipe.exists(f"{job_key_prefix}{batch}")
            score, payload = await pipe.execute()
        return score is not None and bool(payload)


def _decided_by_a_worker(receipts: Iterable[Receipt]) -> Iterator[Receipt]:
    """Without the cancelled: a worker only finds those, and whoever cancelled has counted them."""
    return (receipt for receipt in receipts if receipt.status is not Status.CANCELLED)


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
