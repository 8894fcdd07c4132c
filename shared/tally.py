"""How many jobs ended how, and how long they took: counted in Redis minute by minute, for the last hour.

For people who watch, not for accounts: a claim whose end is told to Redis twice is counted twice. The receipts are
the truth.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from shared.clock import now_ms
from shared.contract import Status
from shared.receipts import Receipt

MINUTES = 60
KEEP_S = (MINUTES + 2) * 60
MINUTE_MS = 60_000

BUCKETS_PER_DOUBLING = 4
"""A quantile is off by at most a fifth: each bucket reaches 2 ** (1/4) times as far as the one before."""


@dataclass(frozen=True)
class Minute:
    """The jobs that ended in the minute from `at`: how many of each status, and how many took how long."""

    at: datetime
    counts: dict[Status, int] = field(default_factory=dict)
    took: dict[int, int] = field(default_factory=dict)
    """Jobs by bucket; `upper_ms` says how far a bucket reaches."""

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    def quantile_ms(self, share: float) -> float | None:
        """How long at most `share` of the jobs took from submit to receipt, in ms; None where none ended."""
        left = math.ceil(share * self.ended)
        for bucket in sorted(self.took):
            left -= self.took[bucket]
            if left <= 0:
                return upper_ms(bucket)
        return None


def bucket_of(took_ms: float) -> int:
    return max(0, math.ceil(BUCKETS_PER_DOUBLING * math.log2(max(took_ms, 1.0))))


def upper_ms(bucket: int) -> float:
    return float(2 ** (bucket / BUCKETS_PER_DOUBLING))


def count(pipe: Pipeline, name: str, receipts: Iterable[Receipt]) -> None:
    """Count `receipts` for the queue `name`; a lone job costs two commands, and so does a whole claim of equals."""
    # The jobs of a claim ended at one moment: what is told of it is made once.
    alike = Counter((r.finished_at, r.status, bucket_of(_took_ms(r))) for r in receipts)
    counted: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for (at, status, bucket), jobs in alike.items():
        counted[int(at.timestamp() // 60)][f"{status}:{bucket}"] += jobs
    for minute, fields in counted.items():
        key = _key(name, minute)
        for name_, times in fields.items():
            pipe.hincrby(key, name_, times)
        pipe.expire(key, KEEP_S)


def _took_ms(receipt: Receipt) -> float:
    return (receipt.finished_at - receipt.submitted_at).total_seconds() * 1000


async def last_hour(redis: Redis, name: str) -> list[Minute]:
    """The last 60 minutes, the oldest first; the one that runs is the last."""
    now = now_ms() // MINUTE_MS
    minutes = range(now - MINUTES + 1, now + 1)
    async with redis.pipeline(transaction=False) as pipe:
        for minute in minutes:
            pipe.hgetall(_key(name, minute))
        return [_read(minute, found) for minute, found in zip(minutes, await pipe.execute(), strict=True)]


def _key(name: str, minute: int) -> str:
    return f"{name}:minute:{minute}"


def _read(minute: int, fields: dict[bytes, bytes]) -> Minute:
    counts: Counter[Status] = Counter()
    took: Counter[int] = Counter()
    for name, times in fields.items():
        status, _, bucket = name.decode().partition(":")
        counts[Status(status)] += int(times)
        took[int(bucket)] += int(times)
    return Minute(datetime.fromtimestamp(minute * 60, UTC), dict(counts), dict(took))
