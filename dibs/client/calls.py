"""What can be asked of dibs, step by step. The faces are made of these; their docstrings are written here."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from dibs.client import requests
from dibs.client.answers import Collection, Collections, Health, JobPage, Retried, RetryPage, Stats, TooLate
from dibs.client.asking import Asking, J, parse, read
from dibs.client.errors import TimedOut, Unreachable
from dibs.client.outcomes import Outcome, end_of
from dibs.client.requests import Candidate
from dibs.client.steps import Ask, Give, Gives, Pause, Steps
from shared.contract import JobView, Status

PAGE = 100
LOOK_AGAIN_S = 1.0
"""How often to look at a job where the server does not hold its answer."""
LOOK_SOON_S = 0.05
"""How often in the last second of a wait, which is too short for a server that waits in whole ones."""


def add(
    asking: Asking[J],
    /,
    *candidates: Candidate,
    to: str | None = None,
    values: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    wait: float = 0,
) -> Steps[J]:
    """Add the first of `candidates` that is free, and return its job.

    A candidate is a row as a mapping of columns, or the value of the collection's one key column. Without candidates
    they are left to the server. `to` names the collection, `values` are columns that all candidates share, `wait`
    is how many seconds the answer may take to come with the outcome. The same `idempotency_key` is the same job;
    without one, each call is a job of its own, once however often the connection breaks.

    Raises `Unsendable`, `Refused`, `Unreachable` or `Garbled`.
    """
    give_up_at = asking.clock() + wait
    ask = requests.to_add(candidates, values, to, idempotency_key or uuid4().hex, wait)
    view = yield from asking.read(ask, JobView)
    left_s = give_up_at - asking.clock()
    if left_s > 0:
        # It was taken in: should anything go wrong with the wait, that is still the answer.
        view, _ = yield from watch(asking, view, timeout=left_s)
    return asking.hold(view)


def job(asking: Asking[J], job_id: UUID | str) -> Steps[J]:
    """The job with this id, as it stands; raises `Refused` where it is unknown."""
    return asking.hold((yield from asking.read(requests.for_job(job_id), JobView)))


def jobs(
    asking: Asking[J],
    *,
    status: Status | Sequence[Status] = (),
    collection: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Gives[J]:
    """The jobs that have ended, newest first; or by a `status` of theirs those that wait, oldest first.

    Page after page as they are read, and at most `limit` of them.
    """
    wanted = requests.Wanted([status] if isinstance(status, str) else status, collection, since, until)
    left = math.inf if limit is None else limit
    cursor: str | None = None
    while left > 0:
        page = yield from asking.read(requests.for_jobs(wanted, cursor, int(min(PAGE, left))), JobPage)
        for view in page.jobs:
            yield Give(asking.hold(view))
        left -= len(page.jobs)
        cursor = page.next
        if cursor is None:
            return


def retry_all(
    asking: Asking[Any],
    *,
    status: Status | Sequence[Status] = Status.FAILED,
    collection: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Gives[Retried]:
    """Add once more what the jobs that ended like this were to add; what was sent again before is not sent again.

    Page after page as it is read, newest first: what was not read may not have been sent.
    """
    wanted = requests.Wanted([status] if isinstance(status, str) else status, collection, since, until)
    cursor: str | None = None
    while True:
        page = yield from asking.read(requests.to_retry_page(wanted, cursor, PAGE), RetryPage)
        for retried in page.jobs:
            yield Give(retried)
        cursor = page.next
        if cursor is None:
            return


def collections(asking: Asking[Any]) -> Steps[list[Collection]]:
    """What can be added to."""
    return (yield from asking.read(Ask("GET", "/collections"), Collections)).collections


def health(asking: Asking[Any]) -> Steps[Health]:
    """Whether adds are taken in, and done. A server that is not ready is an answer, no error."""
    response = yield from asking.answer(Ask("GET", "/health/ready"), not_now=frozenset())
    return parse(response, Health)


def stats(asking: Asking[Any]) -> Steps[Stats]:
    """The queue, the workers and the last hour."""
    return (yield from asking.read(Ask("GET", "/stats"), Stats))


def refresh(asking: Asking[J], held: J) -> Steps[J]:
    """Look where the job stands now, and return it."""
    held.view = yield from asking.read(requests.for_job(held.view.id), JobView)
    return held


def outcome(asking: Asking[J], held: J, *, timeout: float | None = None) -> Steps[Outcome]:
    """Wait until the job has ended, at most `timeout` seconds, and return how.

    While there is time, a server that cannot be reached is asked again. Raises `TimedOut`, caused by `Unreachable` if
    nobody answered in the end; the job goes on, and this can be called again.
    """
    held.view, away = yield from watch(asking, held.view, timeout=timeout)
    if held.view.status.is_outcome:
        return end_of(held.view)
    told = f"job {held.view.id} is {held.view.status} after {timeout:g} seconds"
    raise TimedOut(told if away is None else f"{told}, as far as is known: {away}", held.view) from away


def cancel(asking: Asking[J], held: J) -> Steps[Outcome]:
    """Cancel the job, and return how it ended: `Cancelled`, and it never inserts anything, or what it had done."""
    response = yield from asking.answer(requests.to_cancel(held.view.id))
    is_late = response.status_code == HTTPStatus.CONFLICT
    held.view = parse(response, TooLate).job if is_late else read(response, JobView)
    return end_of(held.view)


def retry(asking: Asking[J], held: J) -> Steps[J]:
    """Add once more what a job that ended without a row was to add, and return the new job.

    The old one keeps its outcome. However often it is called, the job is sent again once.
    """
    return asking.hold((yield from asking.read(requests.to_retry(held.view.id), JobView)))


def watch(asking: Asking[Any], view: JobView, *, timeout: float | None) -> Steps[tuple[JobView, Unreachable | None]]:
    """The job when it has ended, or as it was last seen after `timeout` seconds, with why nobody said more.

    Raises `Unreachable` where there is no timeout.
    """
    give_up_at = math.inf if timeout is None else asking.clock() + timeout
    away: Unreachable | None = None
    while not view.status.is_outcome and (begun := asking.clock()) < give_up_at:
        left_s = give_up_at - begun
        ask = requests.for_job(view.id, left_s=left_s)
        try:
            view = yield from asking.within(left_s).read(ask, JobView)
            away = None
        except Unreachable as error:
            away = error
            if timeout is None:
                raise
        now = asking.clock()
        if not view.status.is_outcome and now - begun < max(ask.wait_s, LOOK_AGAIN_S) / 2:
            # The server does not wait that long, or not at all: ask it at a pace that it can stand.
            yield Pause(max(0.0, min(LOOK_AGAIN_S if ask.wait_s else LOOK_SOON_S, give_up_at - now)))
    return view, away
