"""The two faces of the client, `Dibs` and `DibsSync`: the same calls, taken by the one driver or the other."""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from uuid import UUID

import httpx

from dibs.client import bulks, calls
from dibs.client.asking import PATIENCE_S, Asking, Held
from dibs.client.connecting import options
from dibs.client.driving import AsyncDriver, Driver
from dibs.client.outcomes import Outcome, outcome_of
from dibs.client.steps import Gives, Steps
from shared.contract import JobView, Status

P = ParamSpec("P")
T = TypeVar("T")


class _HeldJob(Held):
    def __init__(self, view: JobView) -> None:
        self.view = view
        """All that was last heard of the job."""

    @property
    def id(self) -> UUID:
        return self.view.id

    @property
    def collection(self) -> str:
        return self.view.collection

    @property
    def status(self) -> Status:
        """Where the job stood when it was last asked for."""
        return self.view.status

    @property
    def known_outcome(self) -> Outcome | None:
        """The outcome, or None where none has been heard of."""
        return outcome_of(self.view)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}: {self.collection} {self.status}>"


def awaited(
    call: Callable[Concatenate[Asking["Job"], P], Steps[T]],
) -> Callable[Concatenate["Dibs", P], Coroutine[Any, Any, T]]:
    @functools.wraps(call)
    async def ask(dibs: "Dibs", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await dibs._driver.run(call(dibs._asking, *args, **kwargs))

    return ask


def _awaited_one_by_one(
    call: Callable[Concatenate[Asking["Job"], P], Gives[T]],
) -> Callable[Concatenate["Dibs", P], AsyncIterator[T]]:
    @functools.wraps(call)
    def ask(dibs: "Dibs", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return dibs._driver.each(call(dibs._asking, *args, **kwargs))

    return ask


def _awaited_of_job(
    call: Callable[Concatenate[Asking["Job"], "Job", P], Steps[T]],
) -> Callable[Concatenate["Job", P], Coroutine[Any, Any, T]]:
    @functools.wraps(call)
    async def ask(job: "Job", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await job._dibs._driver.run(call(job._dibs._asking, job, *args, **kwargs))

    return ask


class Job(_HeldJob):
    """A job of `Dibs`."""

    def __init__(self, dibs: "Dibs", view: JobView) -> None:
        super().__init__(view)
        self._dibs = dibs

    outcome = _awaited_of_job(calls.outcome)
    refresh = _awaited_of_job(calls.refresh)
    cancel = _awaited_of_job(calls.cancel)
    retry = _awaited_of_job(calls.retry)


class Dibs:
    """Talks to the dibs at `url`, with an API key if one is given; `async with` closes its connections.

    Without them, `url` is that of DIBS_URL, else http://127.0.0.1:8000, and `key` that of DIBS_API_KEY. A connection
    that fails and a server that says "not now" are tried again for `patience` seconds. That is safe: an add has an
    idempotency key, one made up where none is given.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        patience: float = PATIENCE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._driver = AsyncDriver(httpx.AsyncClient(**options(url, key), transport=transport))
        self._asking = Asking(functools.partial(Job, self), str(self._driver.http.base_url), patience)

    add = awaited(calls.add)
    add_many = _awaited_one_by_one(bulks.add_many)
    job = awaited(calls.job)
    jobs = _awaited_one_by_one(calls.jobs)
    retry_all = _awaited_one_by_one(calls.retry_all)
    collections = awaited(calls.collections)
    health = awaited(calls.health)
    stats = awaited(calls.stats)

    async def close(self) -> None:
        await self._driver.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def blocking(
    call: Callable[Concatenate[Asking["JobSync"], P], Steps[T]],
) -> Callable[Concatenate["DibsSync", P], T]:
    @functools.wraps(call)
    def ask(dibs: "DibsSync", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return dibs._driver.run(call(dibs._asking, *args, **kwargs))

    return ask


def _blocking_one_by_one(
    call: Callable[Concatenate[Asking["JobSync"], P], Gives[T]],
) -> Callable[Concatenate["DibsSync", P], Iterator[T]]:
    @functools.wraps(call)
    def ask(dibs: "DibsSync", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return dibs._driver.each(call(dibs._asking, *args, **kwargs))

    return ask


def _blocking_of_job(
    call: Callable[Concatenate[Asking["JobSync"], "JobSync", P], Steps[T]],
) -> Callable[Concatenate["JobSync", P], T]:
    @functools.wraps(call)
    def ask(job: "JobSync", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return job._dibs._driver.run(call(job._dibs._asking, job, *args, **kwargs))

    return ask


class JobSync(_HeldJob):
    """A job of `DibsSync`."""

    def __init__(self, dibs: "DibsSync", view: JobView) -> None:
        super().__init__(view)
        self._dibs = dibs

    outcome = _blocking_of_job(calls.outcome)
    refresh = _blocking_of_job(calls.refresh)
    cancel = _blocking_of_job(calls.cancel)
    retry = _blocking_of_job(calls.retry)


class DibsSync:
    """`Dibs` without `await`: the same calls with the same arguments, and `with` closes its connections."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        patience: float = PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._driver = Driver(httpx.Client(**options(url, key), transport=transport))
        self._asking = Asking(functools.partial(JobSync, self), str(self._driver.http.base_url), patience)

    add = blocking(calls.add)
    add_many = _blocking_one_by_one(bulks.add_many)
    job = blocking(calls.job)
    jobs = _blocking_one_by_one(calls.jobs)
    retry_all = _blocking_one_by_one(calls.retry_all)
    collections = blocking(calls.collections)
    health = blocking(calls.health)
    stats = blocking(calls.stats)

    def close(self) -> None:
        self._driver.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
