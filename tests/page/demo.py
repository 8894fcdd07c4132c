"""An hour of a busy server, the same each time: for the pictures in the docs, and for tests that need a full page."""

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from shared import tally
from shared.clock import utc_now
from shared.contract import Status
from shared.database import Database
from shared.ids import new_id
from shared.problems import Kind, problem
from shared.queue import Queue
from shared.receipts import Receipt, write_receipts
from shared.tickets import Running, Worker
from tests.build import ANIMALS, HANDLES, make_handle_job, make_job

NAMES = ("max", "cody", "robby", "rex", "bello", "luna", "nala", "simba", "balu", "kira", "mila", "oskar", "lotte")
TENANTS = ("acme", "globex", "initech")
REFUSED = "key (tenant)=(umbrella) is not present in table tenants"

A_JOB_S = 0.004
LONG_ENOUGH_MS = 10 * 60 * 1000


async def fill(database: Database, queue: Queue) -> list[Receipt]:
    """Receipts and the tally of the last hour, two workers at work, and a few jobs that wait."""
    now = utc_now()
    receipts = list(_hour(Random(4), now))
    async with database.writes.begin() as session:
        await write_receipts(session, receipts[-400:])
    async with queue.redis.pipeline() as pipe:
        tally.count(pipe, queue.name, receipts)
        await pipe.execute()
    await _work(queue, now)
    await queue.submit("handles", [make_handle_job("acme", f"{name}-{n}") for n in range(61) for name in NAMES])
    return receipts[-400:]


def _hour(random: Random, now: datetime) -> Iterator[Receipt]:
    for minute in range(59, -1, -1):
        wave = 60 + 45 * math.sin(minute / 9) + random.uniform(-12, 12)
        is_slow = 20 <= minute <= 24
        for _ in range(int(wave * (1.4 if is_slow else 1))):
            took_s = A_JOB_S * random.lognormvariate(0, 0.6) * (40 if is_slow and random.random() < 0.3 else 1)
            ended = now - timedelta(minutes=minute, seconds=random.uniform(0, 59))
            yield _receipt(random, ended, took_s, may_fail=is_slow or minute in (3, 4, 41))


def _receipt(random: Random, ended: datetime, took_s: float, *, may_fail: bool) -> Receipt:
    names = random.sample(NAMES, random.choice((1, 3, 4, 5)))
    status = _status(random, may_fail=may_fail)
    if status is Status.FAILED:
        job = make_handle_job("umbrella", *names)
    elif random.random() < 0.6:
        job = make_handle_job(random.choice(TENANTS), *names)
    else:
        job = make_job(ANIMALS, [name.capitalize() for name in names])
    collection = HANDLES if "tenant" in job.values else ANIMALS
    place = random.randrange(len(names))
    match status:
        case Status.SUCCEEDED:
            row = {"id": random.randrange(1000, 90_000), **job.values, **job.candidates[place]}
            made = Receipt.succeeded(job, collection.name, tries=1, choice=place, row=row)
        case Status.FAILED:
            error = problem(Kind.REFUSED, REFUSED, constraint="fk_handles_tenant_tenants", column="tenant")
            made = Receipt.failed(job, collection.name, tries=1, error=error)
        case Status.EXHAUSTED:
            made = Receipt.exhausted(job, collection.name, tries=1)
        case _:
            made = Receipt.cancelled(job, collection.name, tries=0)
    return replace(made, submitted_at=ended - timedelta(seconds=took_s), finished_at=ended)


def _status(random: Random, *, may_fail: bool) -> Status:
    rarely = {Status.EXHAUSTED: 6, Status.CANCELLED: 1, Status.FAILED: 8 if may_fail else 0}
    weights = {Status.SUCCEEDED: 100, **rarely}
    return random.choices(list(weights), weights=list(weights.values()))[0]


async def _work(queue: Queue, now: datetime) -> None:
    for place, running in enumerate(((500, 212), (64,))):
        worker = Worker(
            f"worker-{place + 1}:7",
            now - timedelta(days=3, hours=place),
            [Running(str(new_id()), "handles", jobs, now - timedelta(milliseconds=12 * jobs)) for jobs in running],
            more=0,
        )
        await queue.show_worker(worker, LONG_ENOUGH_MS)
