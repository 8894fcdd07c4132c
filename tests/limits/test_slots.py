"""Waits: so many at a time, and who comes too many is answered at once, with the job as it stands."""

import asyncio

import pytest

from api.slots import Slots
from shared.database import Database
from shared.queue import Queue
from tests.serving import serving, working
from tests.waiting import until

LONG = {"Prefer": "wait=20"}


async def test_one_wait_too_many_is_answered_at_once_and_says_so(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue, max_waits=2) as client:
        waiting = [asyncio.create_task(client.post("/add", headers=LONG)) for _ in range(2)]

        async def both_wait() -> bool:
            return await fake_queue.depth() == 2

        await until(both_wait)
        async with asyncio.timeout(5):
            third = await client.post("/add", headers=LONG)
            looking = await client.get(third.headers["location"], headers=LONG)
        assert (third.status_code, looking.status_code) == (202, 200)
        assert "preference-applied" not in third.headers
        assert "preference-applied" not in looking.headers
        assert not any(task.done() for task in waiting)

        async with working(sqlite_database, fake_queue):
            answers = await asyncio.gather(*waiting)
        assert [answer.headers["preference-applied"] for answer in answers] == ["wait=20", "wait=20"]

        again = await client.get(third.headers["location"], headers=LONG)
        assert again.headers["preference-applied"] == "wait=20", "the places are free again"


async def test_who_does_not_wait_needs_no_place(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue, max_waits=0) as client:
        assert (await client.post("/add")).status_code == 202
        answer = await client.post("/add", headers=LONG)
    assert (answer.status_code, "preference-applied" in answer.headers) == (202, False)


def test_a_place_is_given_back_whatever_happened_in_it() -> None:
    slots = Slots(1)

    def fail_inside() -> None:
        with slots.one() as has_room, slots.one() as second:
            assert (has_room, second, slots.held) == (True, False, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert slots.held == 0
