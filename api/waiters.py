"""Requests that listen for what becomes of a job: one subscription and one reader for all of them."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import chain
from typing import TypeVar
from uuid import UUID

from api.problems import ProblemError
from api.reader import LOOK_TOGETHER, Found, Reader
from shared.news import load_news, load_receipts
from shared.queue import Queue
from shared.redis import REDIS_FAULTS

log = logging.getLogger(__name__)

RECONNECT_S = 0.5

LOOK_AGAIN_S = 1.0
"""How often all jobs that somebody listens to are looked at: a message may get lost while Redis is away, and of a
change that is no outcome there is none."""
REST = 20
"""How many times as long as the last look at all took it rests before the next: listening must not become a load."""

LINE_DIGITS = 8
"""Digits at the end of an id of a bulk's job that say which line it was; those before are the bulk's."""


class _Listener:
    """One request that listens; `is_dismissed` where there is nothing to hear any more."""

    def __init__(self) -> None:
        self.is_dismissed = False
        self._bell = asyncio.Event()

    def dismiss(self) -> None:
        """The server stops, or what is listened to is not there."""
        self.is_dismissed = True
        self._bell.set()

    async def _rung(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._bell.wait()
        if not self.is_dismissed:
            self._bell.clear()


class Ear(_Listener):
    """What one request hears of its job: the outcome, and where it `wants_states`, what it goes through before."""

    def __init__(self) -> None:
        super().__init__()
        self.wants_states = False
        self._told: Found | None = None

    def tell(self, news: Found) -> None:
        self._told = news
        self._bell.set()

    async def news(self, within_s: float) -> Found | None:
        """The latest that was told since this was last asked; None where nothing was, or it is dismissed."""
        await self._rung(within_s)
        told, self._told = self._told, None
        return told


class BulkEar(_Listener):
    """What one request hears of a bulk: how many of its jobs have `ended` since it set that to 0."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0
        self._goal = 0

    def tell(self) -> None:
        self.ended += 1
        if self.ended >= self._goal:
            self._bell.set()

    async def until(self, ended: int, within_s: float) -> None:
        """Return when so many have ended, or after `within_s`, or when it is dismissed."""
        self._goal = ended
        if self.ended < ended:
            if not self.is_dismissed:
                self._bell.clear()
            await self._rung(within_s)


AnyEar = TypeVar("AnyEar", Ear, BulkEar)


class Waiters:
    """Tells whoever listens to a job when it has ended.

    A worker says which jobs have ended, and of a few how; the other receipts are read together, once for everybody
    who listens.
    """

    def __init__(self, queue: Queue, reader: Reader) -> None:
        self._queue = queue
        self._reader = reader
        self._ears: defaultdict[str, set[Ear]] = defaultdict(set)
        self._bulk_ears: defaultdict[str, set[BulkEar]] = defaultdict(set)
        self._ended: set[str] = set()
        self._bell = asyncio.Event()
        self._look_at_all_at = 0.0
        self.closed = False

    def close(self) -> None:
        """Let everybody go at once, with the job as it stands: the server stops."""
        self.closed = True
        listeners: list[set[Ear] | set[BulkEar]] = [*self._ears.values(), *self._bulk_ears.values()]
        for listener in chain.from_iterable(listeners):
            listener.dismiss()

    def how_many(self) -> int:
        """Requests that listen now."""
        return sum(map(len, self._ears.values())) + sum(map(len, self._bulk_ears.values()))

    def listening(self, job: UUID) -> AbstractContextManager[Ear]:
        """An ear for `job`. Look at the job after this, for only what happens from now on is told."""
        return self._listening(self._ears, str(job), Ear())

    def listening_to_bulk(self, bulk: UUID) -> AbstractContextManager[BulkEar]:
        """An ear for the jobs of `bulk`. A message may get lost: count them once in a while."""
        return self._listening(self._bulk_ears, str(bulk)[:-LINE_DIGITS], BulkEar())

    @contextmanager
    def _listening(self, ears: "defaultdict[str, set[AnyEar]]", key: str, ear: "AnyEar") -> "Iterator[AnyEar]":
        ears[key].add(ear)
        if self.closed:
            ear.dismiss()
        try:
            yield ear
        finally:
            ears[key].discard(ear)
            if not ears[key]:
                del ears[key]

    async def listen_for_ever(self) -> None:
        """Hear which jobs have ended."""
        while True:
            try:
                await self._listen()
            except REDIS_FAULTS:
                await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        async with self._queue.redis.pubsub() as pubsub:
            await pubsub.subscribe(self._queue.done_channel)
            # What was said until now was said to nobody.
            self._look_at_all_at = 0.0
            self._bell.set()
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=60)
                if message is not None:
                    self._hear(message["data"])

    def _hear(self, message: bytes) -> None:
        jobs, told = load_news(message)
        if heard := {job for job in jobs if job in self._ears}:
            for receipt in load_receipts(told) if told else ():
                job = str(receipt.id)
                self._tell(job, receipt)
                heard.discard(job)
            self._ended |= heard
        if self._ended:
            self._bell.set()
        if self._bulk_ears:
            for job in jobs:
                for ear in self._bulk_ears.get(job[:-LINE_DIGITS], ()):
                    ear.tell()

    async def read_for_ever(self) -> None:
        """Read what became of the jobs that have ended, and once in a while of all that somebody listens to."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._look_at_all_at):
                    await self._bell.wait()
            self._bell.clear()
            try:
                await self._read()
            except ProblemError:
                # Not told, not lost: the next look at all jobs finds them.
                await asyncio.sleep(RECONNECT_S)
            except Exception:
                # Whatever it is, everybody who listens relies on this going on.
                log.exception("the jobs that are listened to could not be read")
                await asyncio.sleep(RECONNECT_S)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        ended, self._ended = self._ended, set()
        await self._tell_ended([*ended])
        if (began_at := loop.time()) < self._look_at_all_at:
            return
        await self._tell_ended([*self._ears])
        await self._tell_states([job for job, ears in self._ears.items() if any(ear.wants_states for ear in ears)])
        took_s = loop.time() - began_at
        self._look_at_all_at = loop.time() + max(LOOK_AGAIN_S, took_s * REST)

    async def _tell_ended(self, jobs: Sequence[str]) -> None:
        for start in range(0, len(jobs), LOOK_TOGETHER):
            part = [UUID(job) for job in jobs[start : start + LOOK_TOGETHER]]
            for job, receipt in (await self._reader.receipts(part)).items():
                self._tell(str(job), receipt)

    def _tell(self, job: str, news: Found) -> None:
        for ear in self._ears.get(job, ()):
            ear.tell(news)

    async def _tell_states(self, jobs: Sequence[str]) -> None:
        for start in range(0, len(jobs), LOOK_TOGETHER):
            part = [UUID(job) for job in jobs[start : start + LOOK_TOGETHER]]
            for job, found in zip(part, await self._reader.look_at(part), strict=True):
                if isinstance(found, Exception):
                    raise found
                for ear in self._ears.get(str(job), ()):
                    if not ear.wants_states:
                        continue
                    if found is None:
                        ear.dismiss()
                    else:
                        ear.tell(found)
