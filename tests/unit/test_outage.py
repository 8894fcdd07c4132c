"""Waiting for a database that is away."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from shared.faults import Fault, FaultClass
from worker.outage import Outage

FAULT = Fault(FaultClass.OUTAGE, "53100", "no space left")


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
    waiting = asyncio.gather(*(absence.outage.over(FAULT) for _ in range(5)))
    await absence.asked.wait()
    assert not waiting.done()

    absence.is_back = True
    await waiting
    absence.outage.passed()

    assert [record.getMessage() for record in caplog.records] == [
        "the database is away (53100: no space left); jobs wait for it, no tries are spent",
        "the database is back",
    ]


async def test_who_gives_up_waiting_does_not_take_the_others_with_it(absence: Absence) -> None:
    impatient, patient = (asyncio.create_task(absence.outage.over(FAULT)) for _ in range(2))
    await absence.asked.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient

    absence.is_back = True
    await patient


async def test_a_database_that_answers_and_takes_nothing_is_told_once_and_asked_ever_less_often(
    absence: Absence, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    pauses: list[float] = []

    async def note(pause_s: float) -> None:
        pauses.append(pause_s)

    monkeypatch.setattr(asyncio, "sleep", note)
    absence.is_back = True
    for _ in range(6):
        await absence.outage.over(FAULT)

    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5, 0.5]
    assert len(caplog.records) == 1


async def test_a_second_outage_is_waited_for_like_the_first(absence: Absence) -> None:
    absence.is_back = True
    await absence.outage.over(FAULT)
    absence.outage.passed()
    absence.is_back = False
    absence.asked.clear()

    again = asyncio.create_task(absence.outage.over(FAULT))
    await absence.asked.wait()
    assert not again.done()
    absence.is_back = True
    await again


async def test_nobody_goes_on_waiting_after_the_end(absence: Absence) -> None:
    waiting = asyncio.create_task(absence.outage.over(FAULT))
    await absence.asked.wait()

    await absence.outage.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
