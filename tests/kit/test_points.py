"""Named points: jobs that meet, are held, or die there."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy.exc import IntegrityError

from shared.testing.points import Killed, NeverHappened, Points
from tests.kit.naive import Sessions, names_of
from tests.question.database import Animal

pytestmark = pytest.mark.dibs(database=["sqlite", "postgresql"])


async def insert(sessions: Sessions, name: str) -> None:
    async with sessions.begin() as session:
        session.add(Animal(name=name))


async def insert_if_missing(sessions: Sessions, name: str) -> None:
    """Looks, then inserts: right as long as nobody else does so in between."""
    if name not in await names_of(sessions):
        await insert(sessions, name)


async def test_two_meet_between_the_look_and_the_insert(dibs_sessions: Sessions, dibs_points: Points) -> None:
    dibs_points.meet("after select", table="animals")
    ended = await asyncio.gather(
        insert_if_missing(dibs_sessions, "Max"), insert_if_missing(dibs_sessions, "Max"), return_exceptions=True
    )
    assert sorted(type(error).__name__ for error in ended) == ["IntegrityError", "NoneType"]


async def test_one_is_held_while_the_test_goes_on(dibs_sessions: Sessions, dibs_points: Points) -> None:
    held = dibs_points.hold("before insert", table="animals")
    task = asyncio.create_task(insert(dibs_sessions, "Max"))
    await held.reached()
    assert await names_of(dibs_sessions) == []
    held.release()
    await task
    assert await names_of(dibs_sessions) == ["Max"]


async def test_one_is_overtaken_while_it_is_held(dibs_sessions: Sessions, dibs_points: Points) -> None:
    held = dibs_points.hold("before flush")
    task = asyncio.create_task(insert(dibs_sessions, "Max"))
    await held.reached()
    await insert(dibs_sessions, "Max")
    held.release()
    with pytest.raises(IntegrityError):
        await task


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("before flush", []), ("after flush", []), ("before insert", []), ("after insert", []),
        ("before commit", []), ("after commit", ["Max"]),
    ],
)  # fmt: skip
async def test_who_is_killed_leaves_what_was_committed(
    dibs_sessions: Sessions, dibs_points: Points, point: str, left: list[str]
) -> None:
    dibs_points.kill(point)  # type: ignore[arg-type]  # a parameter is no literal
    with pytest.raises(Killed, match=rf"killed {point} at .*test_points.py:\d+ in insert"):
        await insert(dibs_sessions, "Max")
    assert await names_of(dibs_sessions) == left
    await insert(dibs_sessions, "Cody")


async def test_the_second_is_killed(dibs_sessions: Sessions, dibs_points: Points) -> None:
    dibs_points.kill("before commit", nth=2)
    await insert(dibs_sessions, "Max")
    with pytest.raises(Killed):
        await insert(dibs_sessions, "Cody")
    assert await names_of(dibs_sessions) == ["Max"]


async def test_no_handler_of_the_application_outlives_its_death(dibs_sessions: Sessions, dibs_points: Points) -> None:
    dibs_points.kill("after flush")

    async def insert_and_hush() -> None:
        with suppress(Exception):
            await insert(dibs_sessions, "Max")

    with pytest.raises(Killed):
        await insert_and_hush()


async def test_an_action_stands_in_for_the_unlikely(dibs_sessions: Sessions, dibs_points: Points) -> None:
    seen: list[str] = []
    dibs_points.do("after rollback", lambda: seen.append("rolled back"))
    async with dibs_sessions() as session:
        session.add(Animal(name="Max"))
        await session.flush()
        await session.rollback()
    assert seen == ["rolled back"]


@pytest.mark.dibs(database="sqlite")
async def test_who_waits_in_vain_is_told(dibs_sessions: Sessions, dibs_points: Points) -> None:
    dibs_points.meet("before commit", within_s=0.01)
    with pytest.raises(NeverHappened, match=r"2 were to meet before commit, and did not within 0\.01 s"):
        await insert(dibs_sessions, "Max")
    with pytest.raises(NeverHappened, match="nobody came"):
        await dibs_points.hold("before delete").reached(within_s=0.01)
    dibs_points._armed.clear()


def test_what_did_not_happen_fails_the_test() -> None:
    points = Points()
    points.kill("before insert", table="animals")
    with pytest.raises(NeverHappened, match="prepared, and never happened: kill before insert of animals"):
        points.check()


def test_points_are_checked_when_they_are_named() -> None:
    points = Points()
    with pytest.raises(ValueError, match="there is no point 'before lunch'"):
        points.kill("before lunch")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="before commit has no table"):
        points.kill("before commit", table="animals")
