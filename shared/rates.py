"""Rate limits, shared by every process of the api through Redis.

Key, with a time to live:
  {name}:rate:{bucket}   the time at which the quota is whole again, in microseconds
"""

import asyncio
import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from redis.asyncio import Redis

from shared.redis import REDIS_FAULTS

log = logging.getLogger(__name__)

WINDOWS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
LARGEST_QUOTA = 1_000_000

ASK_S = 1.0
"""How long a request may wait for Redis to say whether it is within its limit, and how long nobody asks after a
failure: whoever is within its limit must not suffer because nobody can tell."""

_TEXT = re.compile(rf"([1-9]\d{{0,6}})\s*/\s*({'|'.join(WINDOWS_S)})")
_SCRIPT = (Path(__file__).parent / "lua" / "rate.lua").read_text()


@dataclass(frozen=True, slots=True)
class Rate:
    """`quota` requests in any `window_s`, all at once if need be."""

    quota: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1000/second`; minute, hour and day are windows too. Raises `ValueError`."""
        found = _TEXT.fullmatch(text.strip().lower())
        if found is None or int(found[1]) > LARGEST_QUOTA:
            raise ValueError(f"must look like 1000/second, with at most {LARGEST_QUOTA} in a {', '.join(WINDOWS_S)}")
        return cls(int(found[1]), WINDOWS_S[found[2]])

    def __str__(self) -> str:
        return f"{self.quota}/{next(name for name, s in WINDOWS_S.items() if s == self.window_s)}"


class Left(NamedTuple):
    """What is left of a quota: after the cost was paid, or as it was where it was not."""

    is_paid: bool
    remaining: int
    whole_in_s: float
    payable_in_s: float


class Rates:
    """The buckets of one queue."""

    def __init__(self, redis: Redis, name: str) -> None:
        self._prefix = f"{name}:rate:"
        self._spend = redis.register_script(_SCRIPT)
        self._blind_until = 0.0

    async def spend(self, bucket: str, rate: Rate, cost: int = 1) -> Left | None:
        """Take `cost`, at most the quota, from `bucket` if it is there; None where Redis cannot say.

        The generic cell rate algorithm: https://brandur.org/rate-limiting.
        """
        if time.monotonic() < self._blind_until:
            return None
        try:
            async with asyncio.timeout(ASK_S):
                answer = await self._spend(
                    keys=[self._prefix + bucket], args=[rate.quota, rate.window_s * 1_000_000, cost]
                )
        except REDIS_FAULTS as fault:
            log.warning("Redis did not answer (%s): nothing is limited for %g s", type(fault).__name__, ASK_S)
            self._blind_until = time.monotonic() + ASK_S
            return None
        is_paid, remaining, whole_us, payable_us = answer
        return Left(bool(is_paid), remaining, whole_us / 1e6, payable_us / 1e6)
