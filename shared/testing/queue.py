"""An arq queue in memory, and the real arq worker on it: everything that is due runs, and nothing sleeps."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import fakeredis
from arq.connections import ArqRedis
from arq.constants import default_queue_name, in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import Job, deserialize_job
from arq.utils import timestamp_ms
from arq.worker import Function, JobExecutionFailed, Retry, RetryJob, Worker, func, get_kwargs

from shared.testing.clock import Clock
from shared.testing.points import Killed

ENDLESS = 10_000
"""Runs after which `work_all` takes the jobs for ones that enqueue each other for ever."""

Outcome = Literal["done", "failed", "retried", "killed"]


@dataclass(frozen=True)
class Enqueued:
    """A job that waits or runs. `due` is when it may run, `tries` how often it was begun."""

    id: str
    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    due: dt.datetime
    tries: int

    def has(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whether it was enqueued with these `args`, if there are any, and with `kwargs` among its own."""
        return args in ((), self.args) and all(self.kwargs.get(name, ...) == value for name, value in kwargs.items())

    def __str__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{self.function}({', '.join(given)})"


@dataclass(frozen=True)
class Ran:
    """One run of a job. "retried" will run again, "killed" died with its worker, whose lease holds it back."""

    id: str
    function: str
    outcome: Outcome
    result: Any = None
    error: BaseException | None = None


class ArqQueue:
    """What tests do with a queue of arq: look at it, and let the real worker empty it."""

    def __init__(self, redis: ArqRedis, settings: Mapping[str, Any] | type, clock: Clock) -> None:
        self.redis = redis
        self._options = _worker_options(settings)
        self._clock = clock
        self.name = str(self._options.setdefault("queue_name", default_queue_name))
        # Whoever enqueues by this client enqueues where the worker looks, and as it reads.
        redis.default_queue_name = self.name
        redis.job_serializer = self._options.get("job_serializer")
        redis.job_deserializer = self._options.get("job_deserializer")
        self._worker: Worker | None = None
        self._dead: list[Worker] = []
        self._ran: list[Ran] = []

    async def jobs(self) -> list[Enqueued]:
        """What is queued, running jobs and later ones included, in the order in which it may run."""
        found = await self.redis.zrange(self.name, 0, -1, withscores=True)
        return [job for raw, score in found if (job := await self._job(raw.decode(), score)) is not None]

    async def assert_enqueued(
        self, function: str | Callable[..., Any], *args: Any, times: int | None = None, **kwargs: Any
    ) -> list[Enqueued]:
        """Return the queued jobs of `function` with these arguments; raises `AssertionError` where there are none.

        Without `args` any will do, and `kwargs` are those that must be among the job's. With `times` there must be
        exactly so many; `times=0` says that there is none.
        """
        name = function if isinstance(function, str) else function.__qualname__
        queued = await self.jobs()
        found = [job for job in queued if job.function == name and job.has(args, kwargs)]
        if (not found) if times is None else len(found) != times:
            wanted = Enqueued("", name, args, kwargs, self._clock.now(), 0)
            there = "\n  ".join(map(str, queued)) or "nothing"
            raise AssertionError(f"{wanted} is queued {len(found)} times, not {times or 'once'}; queued is\n  {there}")
        return found

    async def work_all(self, *, check: bool = True) -> list[Ran]:
        """Run what is due, and what becomes due by it, and return the runs in the order of their ends.

        Jobs that are due together run together, up to the worker's `max_jobs`. What is deferred stays: move the
        clock, or `drain`. With `check` the first error that ended a job is raised once all have run; a job that was
        killed is none.
        """
        self._ran = []
        while due := await self._due():
            if len(self._ran) > ENDLESS:
                raise AssertionError(f"{len(self._ran)} jobs ran and there are always more")
            await self._run(due)
        if check:
            self._raise_first_error()
        return self._ran

    async def drain(self, *, at_most: int, check: bool = True) -> list[Ran]:
        """`work_all`, and move the clock on to what is deferred or leased by the dead, until nothing is queued.

        Raises `AssertionError` where that takes more than `at_most` runs.
        """
        ran: list[Ran] = []
        while True:
            ran += await self.work_all(check=check)
            if len(ran) > at_most:
                raise AssertionError(f"{len(ran)} runs, and {at_most} were to do: {ran}")
            queued = await self.jobs()
            if not queued:
                return ran
            if len(ran) == at_most:
                raise AssertionError(f"after {at_most} runs there still is {', '.join(map(str, queued))}")
            await self._wait_for_next(queued)

    async def close(self) -> None:
        """Shut the worker down, and with it those that were killed, which could not do it themselves."""
        for worker in [*self._dead, *([self._worker] if self._worker else [])]:
            if worker.on_shutdown:
                await worker.on_shutdown(worker.ctx)
            await worker.pool.connection_pool.disconnect()

    async def _due(self) -> list[bytes]:
        ready = await self.redis.zrangebyscore(self.name, float("-inf"), timestamp_ms())
        return [raw for raw in ready if not await self.redis.exists(in_progress_key_prefix + raw.decode())]

    async def _run(self, due: Sequence[bytes]) -> None:
        worker = self._worker = self._worker or await self._start_worker()
        before = len(self._ran)
        await worker.start_jobs(list(due[: worker.max_jobs]))
        running = dict(worker.tasks)
        if running:
            await asyncio.wait(running.values(), return_when=asyncio.FIRST_EXCEPTION)
        if any(_is_killed(task) for task in running.values()):
            await self._bury(worker, running)
        else:
            await asyncio.gather(*running.values())
            for job_id in running.keys() - {ran.id for ran in self._ran[before:]}:
                self._ran.append(await self._not_called(job_id))
        worker.tasks.clear()

    async def _not_called(self, job_id: str) -> Ran:
        """arq ended the job by itself: it is unknown, unreadable, expired, or was tried too often."""
        info = await Job(job_id, self.redis, self.name, self.redis.job_deserializer).result_info()
        error = info.result if info is not None else None
        if not isinstance(error, BaseException):
            error = JobExecutionFailed("arq ended the job without calling its function")
        return Ran(job_id, info.function if info is not None else "", "failed", error=error)

    async def _bury(self, worker: Worker, running: Mapping[str, asyncio.Task[Any]]) -> None:
        """One job died, and with it its process: the others get no further, and nothing is noted any more."""
        pool: Any = worker.pool.connection_pool
        pool.get_connection = _is_dead
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
        self._dead.append(worker)
        self._worker = None

    async def _start_worker(self) -> Worker:
        client = ArqRedis(
            fakeredis.FakeAsyncRedis(server=server_of(self.redis)).connection_pool,
            job_serializer=self.redis.job_serializer,
            job_deserializer=self.redis.job_deserializer,
            default_queue_name=self.name,
        )
        worker = Worker(
            **{
                "job_completion_wait": 0,
                **self._options,
                "functions": [self._recorded(function) for function in self._options["functions"]],
                "ctx": dict(self._options.get("ctx") or {}),
                "redis_pool": client,
                "redis_settings": None,
                "handle_signals": False,
                "burst": True,
            }
        )
        worker.ctx["redis"] = client
        if worker.on_startup:
            await worker.on_startup(worker.ctx)
        return worker

    def _recorded(self, given: Any) -> Function:
        function = func(given)

        async def recorded(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> Any:
            try:
                result = await function.coroutine(ctx, *args, **kwargs)
            except BaseException as error:
                self._ran.append(Ran(ctx["job_id"], function.name, _outcome(error), error=error))
                raise
            self._ran.append(Ran(ctx["job_id"], function.name, "done", result=result))
            return result

        return dataclasses.replace(function, coroutine=recorded)

    def _raise_first_error(self) -> None:
        for ran in self._ran:
            if ran.outcome == "failed" and ran.error is not None:
                ran.error.add_note(f"raised by job {ran.id}, {ran.function}")
                raise ran.error

    async def _job(self, job_id: str, score: float) -> Enqueued | None:
        stored = await self.redis.get(job_key_prefix + job_id)
        if stored is None:
            return None
        job = deserialize_job(stored, deserializer=self.redis.job_deserializer)
        tries = await self.redis.get(retry_key_prefix + job_id)
        due = dt.datetime.fromtimestamp(max(score, 0) / 1000, dt.UTC)  # below zero stands what dibs's worker leased
        return Enqueued(job_id, job.function, tuple(job.args), dict(job.kwargs), due, int(tries or 0))

    async def _wait_for_next(self, queued: Sequence[Enqueued]) -> None:
        """Move the clock to where the first of `queued` may run: it is due, and no dead worker leases it any more."""
        waits = []
        for job in queued:
            lease_ms = await self.redis.pttl(in_progress_key_prefix + job.id)
            waits.append(max((job.due - self._clock.now()).total_seconds(), lease_ms / 1000))
        self._clock.move(seconds=max(0.0, min(waits)) + 0.001)


def make_redis(server: fakeredis.FakeServer | None = None) -> ArqRedis:
    """A client of a Redis in memory, empty unless `server` is given."""
    return ArqRedis(fakeredis.FakeAsyncRedis(server=server or fakeredis.FakeServer()).connection_pool)


def server_of(redis: ArqRedis) -> Any:
    return redis.connection_pool.connection_kwargs["server"]


def _worker_options(settings: Mapping[str, Any] | type) -> dict[str, Any]:
    options = dict(settings) if isinstance(settings, Mapping) else get_kwargs(settings)
    if not options.get("functions"):
        raise ValueError("dibs_worker_settings has no functions")
    return {name: value for name, value in options.items() if name not in {"redis_settings", "redis_pool", "cron_jobs"}}


def _outcome(error: BaseException) -> Outcome:
    if isinstance(error, Killed):
        return "killed"
    return "retried" if isinstance(error, Retry | RetryJob | asyncio.CancelledError) else "failed"


def _is_killed(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and isinstance(task.exception(), Killed)


async def _is_dead(*_: Any, **__: Any) -> Any:
    raise Killed("the worker is dead")
