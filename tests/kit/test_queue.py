"""The queue in memory and the real arq worker on it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from arq import Retry, func
from arq.worker import JobExecutionFailed

from shared.testing.clock import Clock
from shared.testing.points import Points
from shared.testing.queue import ArqQueue
from tests.kit.naive import Sessions, names_of

BACKOFF_S = 60


async def stubborn(ctx: dict[str, Any], wanted: int) -> int:
    if ctx["job_try"] < wanted:
        raise Retry(defer=BACKOFF_S)
    return int(ctx["job_try"])


async def broken(_ctx: dict[str, Any]) -> None:
    raise ZeroDivisionError


async def sleepy(_ctx: dict[str, Any]) -> None:
    await asyncio.Event().wait()


async def chained(ctx: dict[str, Any], left: int) -> None:
    if left:
        await ctx["redis"].enqueue_job("chained", left - 1)


@pytest.fixture
def dibs_worker_settings(dibs_worker_settings: Mapping[str, Any]) -> Mapping[str, Any]:
    more = [stubborn, broken, sleepy, chained, func(broken, name="hopeless", max_tries=0)]  # type: ignore[arg-type]  # arq names the arguments of its protocol
    return {**dibs_worker_settings, "functions": [*dibs_worker_settings["functions"], *more]}


async def test_a_job_runs_when_it_is_told_to(dibs_queue: ArqQueue, dibs_sessions: Sessions) -> None:
    await dibs_queue.redis.enqueue_job("add", ["Max", "Cody"])
    assert await names_of(dibs_sessions) == []
    [ran] = await dibs_queue.work_all()
    assert (ran.function, ran.outcome, ran.result) == ("add", "done", "Max")
    assert await names_of(dibs_sessions) == ["Max"]
    assert await dibs_queue.jobs() == []


async def test_what_must_be_queued(dibs_queue: ArqQueue) -> None:
    await dibs_queue.redis.enqueue_job("add", ["Max"], _defer_by=30)
    [found] = await dibs_queue.assert_enqueued("add", ["Max"])
    assert found.tries == 0
    await dibs_queue.assert_enqueued("add", times=1)
    await dibs_queue.assert_enqueued("add", ["Cody"], times=0)
    await dibs_queue.assert_enqueued(broken, times=0)
    with pytest.raises(
        AssertionError, match=r"add\(\['Cody'\]\) is queued 0 times, not once; queued is\n  add\(\['Max'\]\)"
    ):
        await dibs_queue.assert_enqueued("add", ["Cody"])
    with pytest.raises(AssertionError, match="queued 1 times, not 2"):
        await dibs_queue.assert_enqueued("add", times=2)


async def test_a_backoff_passes_by_the_clock(dibs_queue: ArqQueue, dibs_clock: Clock) -> None:
    await dibs_queue.redis.enqueue_job("stubborn", 2)
    assert [ran.outcome for ran in await dibs_queue.work_all()] == ["retried"]
    assert await dibs_queue.work_all() == []
    dibs_clock.move(seconds=BACKOFF_S + 1)
    assert [ran.result for ran in await dibs_queue.work_all()] == [2]


async def test_drain_moves_the_clock_to_whatever_comes_next(dibs_queue: ArqQueue, dibs_clock: Clock) -> None:
    before = dibs_clock.now()
    await dibs_queue.redis.enqueue_job("stubborn", 4)
    ran = await dibs_queue.drain(at_most=4)
    assert [one.outcome for one in ran] == ["retried", "retried", "retried", "done"]
    assert 3 * BACKOFF_S <= (dibs_clock.now() - before).total_seconds() < 3 * BACKOFF_S + 30


async def test_drain_bounds_the_runs(dibs_queue: ArqQueue) -> None:
    await dibs_queue.redis.enqueue_job("stubborn", 4)
    with pytest.raises(AssertionError, match=r"after 2 runs there still is stubborn\(4\)"):
        await dibs_queue.drain(at_most=2)


async def test_what_jobs_enqueue_runs_too(dibs_queue: ArqQueue) -> None:
    await dibs_queue.redis.enqueue_job("chained", 3)
    assert len(await dibs_queue.work_all()) == 4


async def test_an_error_is_raised_in_the_test(dibs_queue: ArqQueue) -> None:
    await dibs_queue.redis.enqueue_job("broken")
    with pytest.raises(ZeroDivisionError) as caught:
        await dibs_queue.work_all()
    assert "broken" in caught.value.__notes__[0]
    await dibs_queue.redis.enqueue_job("broken")
    assert [ran.outcome for ran in await dibs_queue.work_all(check=False)] == ["failed"]


@pytest.mark.parametrize("function", ["unknown", "hopeless"])
async def test_what_arq_ends_by_itself_fails_too(dibs_queue: ArqQueue, function: str) -> None:
    await dibs_queue.redis.enqueue_job(function)
    with pytest.raises(JobExecutionFailed):
        await dibs_queue.work_all()


async def test_a_worker_that_dies_takes_its_other_jobs_along_and_another_takes_over(
    dibs_queue: ArqQueue, dibs_sessions: Sessions, dibs_points: Points, dibs_clock: Clock
) -> None:
    await dibs_queue.redis.enqueue_job("sleepy", _job_id="other")
    await dibs_queue.redis.enqueue_job("add", ["Max"], _job_id="victim")
    dibs_points.kill("before commit")
    ran = await dibs_queue.work_all()
    assert ("victim", "killed") in {(one.id, one.outcome) for one in ran}
    assert {job.id for job in await dibs_queue.jobs()} == {"other", "victim"}
    assert await names_of(dibs_sessions) == []

    await dibs_queue.redis.zrem(dibs_queue.name, "other")
    dibs_clock.move(seconds=300)
    assert await dibs_queue.work_all() == []  # arq's lease is the job's timeout and ten seconds more
    dibs_clock.move(seconds=11)
    assert [one.outcome for one in await dibs_queue.work_all()] == ["done"]
    assert await names_of(dibs_sessions) == ["Max"]


async def test_startup_and_shutdown_run_once(dibs_queue: ArqQueue) -> None:
    seen: list[str] = []

    async def on_startup(ctx: dict[str, Any]) -> None:
        seen.append("up")

    async def on_shutdown(ctx: dict[str, Any]) -> None:
        seen.append("down")

    class WorkerSettings:
        functions = (chained,)

    queue = ArqQueue(dibs_queue.redis, WorkerSettings, Clock())
    queue._options |= {"on_startup": on_startup, "on_shutdown": on_shutdown}
    for _ in range(2):
        await queue.redis.enqueue_job("chained", 0)
        await queue.work_all()
    await queue.close()
    assert seen == ["up", "down"]
