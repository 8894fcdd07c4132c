"""The time that a test moves."""

import asyncio
import datetime as dt
import time

import pytest
from arq.connections import ArqRedis

from shared.clock import now_ms, utc_now
from shared.testing.clock import Clock


def test_everybody_sees_the_same_time(dibs_clock: Clock) -> None:
    wall, monotonic = time.time(), time.monotonic()
    moved = dibs_clock.move(hours=1)
    assert 3600 <= time.time() - wall < 3660
    assert time.monotonic() - monotonic < 60
    assert moved <= utc_now() == pytest.approx(dibs_clock.now(), abs=dt.timedelta(seconds=1))
    assert now_ms() == pytest.approx(moved.timestamp() * 1000, abs=1000)
    dibs_clock.move(minutes=30)
    assert 5400 <= time.time() - wall < 5460


def test_it_goes_on_by_itself_and_never_back(dibs_clock: Clock) -> None:
    first = dibs_clock.move(seconds=1)
    while dibs_clock.now() == first:
        pass
    with pytest.raises(ValueError, match="forwards only"):
        dibs_clock.move(seconds=-1)


def test_the_next_test_has_the_real_time() -> None:
    real = dt.datetime.now(dt.UTC)
    clock = Clock()
    clock.move(days=1)
    clock.stop()
    assert dt.datetime.now(dt.UTC) - real < dt.timedelta(minutes=1)


async def test_keys_expire(dibs_clock: Clock, dibs_redis: ArqRedis) -> None:
    await dibs_redis.set("lease", "1", ex=10)
    dibs_clock.move(seconds=9)
    assert await dibs_redis.exists("lease")
    dibs_clock.move(seconds=2)
    assert not await dibs_redis.exists("lease")


async def test_sleepers_wake(dibs_clock: Clock) -> None:
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (3600, 60, 86_400)]
    await asyncio.sleep(0)
    before = time.monotonic()
    dibs_clock.move(seconds=3601)
    await asyncio.wait(tasks[:2])
    assert woken == [60, 3600]
    dibs_clock.move(days=1)
    await tasks[2]
    assert time.monotonic() - before < 30


async def test_a_timeout_that_the_move_passes_is_over(dibs_clock: Clock) -> None:
    async def move_and_wait() -> None:
        dibs_clock.move(seconds=31)
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(move_and_wait(), timeout=30)
