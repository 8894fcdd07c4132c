"""What a delivery does with faults that are not the job's: again later, wait, or give up."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from arq.worker import Retry
from sqlalchemy import event, make_url
from sqlalchemy.engine import ExceptionContext

from shared.contract import Status
from shared.database import Database
from shared.problems import Kind
from shared.queue import Queue
from tests.build import ANIMALS, make_hands, make_job, names_of, receipts_of
from tests.conftest import ask
from tests.integration.delivery import deliver, enqueue
from tests.services import PrivatePostgres
from tests.waiting import held_name, impatient, until
from worker.hands import Hands
from worker.outage import Outage
from worker.retry import Policy


@pytest.fixture
async def hasty(database_url: str, fake_queue: Queue) -> AsyncIterator[Hands]:
    """Hands that meet a passing fault as soon as somebody holds what they want."""
    async with impatient(database_url) as database:
        made = make_hands(database, fake_queue, max_tries=3)
        yield made
        await made.outage.close()


async def test_a_passing_fault_is_tried_again_later_and_spends_a_try(hasty: Hands, database: Database) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    batch = await enqueue(hasty, ANIMALS, [job])

    async with held_name(database, "Max"):
        with pytest.raises(Retry) as again:
            await deliver(hasty, batch)

    assert 0 <= (again.value.defer_score or 0) <= Policy().base_s * 1000
    assert await hasty.queue.progress(batch) == (1, 1)
    waiting = await hasty.queue.look(job.id)
    assert waiting
    assert (waiting.status, waiting.tries) == (Status.RETRYING, 1)
    assert await receipts_of(database, [job]) == {}


async def test_the_same_candidates_are_tried_again(hasty: Hands, database: Database) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    batch = await enqueue(hasty, ANIMALS, [job])
    async with held_name(database, "Max"):
        with pytest.raises(Retry):
            await deliver(hasty, batch)

    assert await deliver(hasty, batch, delivery=2) == {"ended": 1}

    receipt = (await receipts_of(database, [job]))[job.id]
    assert (receipt.status, receipt.choice, receipt.tries) == (Status.SUCCEEDED, 0, 2)
    left = [key async for key in hasty.queue.redis.scan_iter("test:*") if b":minute:" not in key]
    assert left == [b"test:queue"]


async def test_the_last_try_ends_in_a_failed_receipt(hasty: Hands, database: Database) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    batch = await enqueue(hasty, ANIMALS, [job])
    async with held_name(database, "Max") as other:
        for delivery in (1, 2):
            with pytest.raises(Retry):
                await deliver(hasty, batch, delivery=delivery)
        if database.writer.dialect.name == "sqlite":
            # The receipt needs the same lock as the row: the job is kept, and no try is spent on that.
            with pytest.raises(Retry):
                await deliver(hasty, batch, delivery=3)
            assert await receipts_of(database, [job]) == {}
            assert await hasty.queue.progress(batch) == (2, 3)
            await other.rollback()
            return
        assert await deliver(hasty, batch, delivery=3) == {"ended": 1}

    receipt = (await receipts_of(database, [job]))[job.id]
    assert (receipt.status, receipt.tries) == (Status.FAILED, 3)
    assert receipt.error
    assert receipt.error.kind is Kind.TRIES_SPENT
    assert re.search("55P03|SQLITE_BUSY", receipt.error.detail)
    assert await hasty.queue.depth() == 0


async def deliver_to_the_end(hands: Hands, batch: str, *, delivery: int) -> dict[str, int]:
    while True:
        try:
            return await deliver(hands, batch, delivery=delivery)
        except Retry:
            delivery += 1


class Faults:
    """Counts the errors that a database answers with."""

    def __init__(self, database: Database) -> None:
        self._count = 0
        event.listen(database.writer.sync_engine, "handle_error", self._see)

    def _see(self, _context: ExceptionContext) -> None:
        self._count += 1

    async def are_at_least(self, count: int) -> bool:
        return self._count >= count


class Absence:
    """A database that is moved out of the way until somebody has asked for it twice."""

    def __init__(self, database: Database, server: PrivatePostgres | None) -> None:
        self._database = database
        self._url = make_url(str(database.writer.url))
        self._server = server
        self.asked = 0

    async def begin(self) -> None:
        await self._database.close()
        await self._move(to_away=True)

    async def answers(self) -> bool:
        self.asked += 1
        if self.asked < 2:
            return False
        await self._move(to_away=False)
        return True

    async def _move(self, *, to_away: bool) -> None:
        name = str(self._url.database)
        if self._server is None:
            here, away = Path(name).parent, Path(name).parent.with_name("away")
            (here if to_away else away).rename(away if to_away else here)
        else:
            here_name, away_name = (name, f"{name}_away")[:: 1 if to_away else -1]
            await ask(self._server.url(), f"ALTER DATABASE {here_name} RENAME TO {away_name}")


async def test_an_outage_is_waited_for_and_spends_no_try(
    hands: Hands, database: Database, request: pytest.FixtureRequest
) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])
    is_sqlite = database.writer.dialect.name == "sqlite"
    absence = Absence(database, None if is_sqlite else request.getfixturevalue("postgres_server"))
    hands.outage = Outage(absence.answers)
    await absence.begin()

    assert await deliver(hands, batch) == {"ended": 1}

    assert absence.asked == 2
    receipt = (await receipts_of(database, [job]))[job.id]
    assert (receipt.status, receipt.tries) == (Status.SUCCEEDED, 1)
    assert await hands.queue.progress(batch) == (0, 0)


async def test_a_stop_in_the_middle_is_excused_and_leaves_nothing_behind(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max", "Cody"])
    batch = await enqueue(hands, ANIMALS, [job])
    async with held_name(hands.database, "Max"):
        running = asyncio.create_task(deliver(hands, batch))
        await until(lambda: is_held(hands, batch))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert await hands.queue.progress(batch) == (0, 1)
    assert await receipts_of(hands.database, [job]) == {}
    assert await names_of(hands.database) == []
    assert not await is_held(hands, batch)


async def is_held(hands: Hands, batch: str) -> bool:
    return hands.pulse.holds(batch)


async def test_however_often_a_batch_is_stopped_it_is_done_in_the_end(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])
    stops = hands.max_deaths + 2
    for _ in range(stops):
        await hands.queue.excuse([batch])

    await deliver(hands, batch, delivery=stops + 1)

    receipt = (await receipts_of(hands.database, [job]))[job.id]
    assert (receipt.status, receipt.tries) == (Status.SUCCEEDED, 1)


async def test_a_job_survives_all_deaths_but_the_last(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])

    await deliver(hands, batch, delivery=hands.max_deaths)

    assert (await receipts_of(hands.database, [job]))[job.id].status is Status.SUCCEEDED


async def test_a_job_under_which_too_many_workers_died_fails_as_poison(hands: Hands) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])

    assert await deliver(hands, batch, delivery=hands.max_deaths + 1) == {"ended": 1}

    receipt = (await receipts_of(hands.database, [job]))[job.id]
    assert receipt.error
    assert (receipt.status, receipt.error.kind) == (Status.FAILED, Kind.POISON)
    assert await names_of(hands.database) == []
    assert await hands.queue.depth() == 0


async def test_a_batch_under_which_too_many_workers_died_goes_on_job_by_job(hands: Hands) -> None:
    jobs = [make_job(ANIMALS, ["Max", "Cody", "Robby"]) for _ in range(3)]
    batch = await enqueue(hands, ANIMALS, jobs)

    assert await deliver(hands, batch, delivery=hands.max_deaths + 1) == {"ended": 0}

    alone = {str(w.ticket.batch) for job in jobs if (w := await hands.queue.look(job.id))}
    assert len(alone - {batch}) == 3
    for each in alone:
        assert await deliver(hands, each) == {"ended": 1}
    receipts = await receipts_of(hands.database, jobs)
    assert sorted(r.choice for r in receipts.values() if r.choice is not None) == [0, 1, 2]
    assert await hands.queue.depth() == 0


async def test_before_the_first_migration_jobs_are_kept_and_spend_no_try(hands: Hands, database: Database) -> None:
    job = make_job(ANIMALS, ["Max"])
    batch = await enqueue(hands, ANIMALS, [job])
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE receipts")

    with pytest.raises(Retry):
        await deliver(hands, batch)

    assert await hands.queue.progress(batch) == (0, 1)
    assert await hands.queue.depth() == 1
