"""What the server answers beside jobs. Members that a newer server adds are passed over."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from shared.contract import JobView, Status
from shared.problems import Problem


class Collection(BaseModel):
    """What can be added to: the columns of its unique key, and the JSON Schema (2020-12) of an add to it."""

    name: str
    key: list[str]
    add_schema: dict[str, Any]


class Collections(BaseModel):
    collections: list[Collection]


class Health(BaseModel):
    """`ready`: all is well. `degraded`: adds are taken in, but wait. `unready`: no add can be taken in now."""

    status: str
    redis: bool
    database: str
    queue_depth: int | None
    queue_limit: int
    workers: int | None


class Bulk(BaseModel):
    """A bulk: the lines taken in so far, whether those are all, and how many jobs stand where."""

    id: UUID
    collection: str
    complete: bool
    lines: int
    counts: dict[Status, int] | None = None


class JobPage(BaseModel):
    """A page of jobs, and the cursor of the next one."""

    jobs: list[JobView]
    next: str | None = None


class Retried(BaseModel):
    """A job that ended, and the one that has its content once more, or why there is none.

    Whether it `is_new`: sent just now, and not by an earlier call.
    """

    job: UUID
    retry: JobView | None
    is_new: bool
    error: Problem | None


class RetryPage(BaseModel):
    jobs: list[Retried]
    next: str | None = None


class TooLate(BaseModel):
    """A job that had ended before it could be cancelled."""

    job: JobView


class Queue(BaseModel):
    """Jobs without a receipt, how many there may be, and for how long the oldest has waited."""

    depth: int
    limit: int
    oldest_age_s: float | None


class Running(BaseModel):
    """A batch in a worker's hands."""

    batch: str
    collection: str | None
    jobs: int
    since: datetime


class Worker(BaseModel):
    """A living worker: what it runs, and how many batches `more`."""

    name: str
    started_at: datetime
    running: list[Running]
    more: int


class Minute(BaseModel):
    """The jobs that ended in the minute from `at`, and how long they took from submit to receipt."""

    at: datetime
    counts: dict[Status, int]
    p50_ms: float | None
    p99_ms: float | None


class Stats(BaseModel):
    """The queue, the workers and the last minutes, the oldest first."""

    queue: Queue
    workers: list[Worker]
    minutes: list[Minute]
