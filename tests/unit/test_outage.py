"""Waiting for a database that is away."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from worker.outage import Outage


class Absence:
    """A database that is away until it is told to return."""

    def __init__(self) -> None:
        self.is_back = False
        self.asked = asyncio.Event()
        self.outage = Outage(self._answers)

    async def _answers(self) -> bool:
        self.asked.set()
        return self.is_back


@pytest.fixture
async def absence() -> AsyncIterator[Absence]:
    made = Absence()
    yield made
    await made.outage.close()


async def test_all_wait_for_the_same_return_and_it_is_told_once(
    absence: Absence, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    waiting = asyncio.gather(*(absence.outage.over() for _ in range(5)))
    await absence.asked.wait()
    assert not waiting.done()

    absence.is_back = True
    await waiting

    assert [record.getMessage() for record in caplog.records] == [
        "the database is away; jobs wait for it, no tries are spent",
        "the database is back",
    ]


async def test_who_gives_up_waiting_does_not_take_the_others_with_it(absence: Absence) -> None:
    impatient, patient = (asyncio.create_task(absence.outage.over()) for _ in range(2))
    await absence.asked.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient

    absence.is_back = True
    await patient


async def test_a_second_outage_is_waited_for_like_the_first(absence: Absence) -> None:
    absence.is_back = True
    await absence.outage.over()
    absence.is_back = False
    absence.asked.clear()

    again = asyncio.create_task(absence.outage.over())
    await absence.asked.wait()
    assert not again.done()
    absence.is_back = True
    await again


async def test_nobody_goes_on_waiting_after_the_end(absence: Absence) -> None:
    waiting = asyncio.create_task(absence.outage.over())
    await absence.asked.wait()

    await absence.outage.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
