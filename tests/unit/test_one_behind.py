"""One piece of work goes on while the next is made ready, and no error of it is lost."""

import asyncio

import pytest

from api.one_behind import OneBehind


class Work:
    """Pieces that wait until they may end, and say what was started and ended."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.may_end = asyncio.Event()

    async def piece(self, name: str) -> None:
        self.said.append(f"{name} begins")
        await self.may_end.wait()
        self.said.append(f"{name} ends")

    async def first(self) -> None:
        await self.piece("first")

    async def second(self) -> None:
        await self.piece("second")

    async def fails(self) -> None:
        await self.piece("it")
        raise ZeroDivisionError


async def test_the_next_one_begins_when_the_one_before_has_ended() -> None:
    work = Work()
    async with OneBehind() as behind:
        await behind.run(work.first)
        await asyncio.sleep(0)
        assert work.said == ["first begins"]
        asyncio.get_running_loop().call_soon(work.may_end.set)
        await behind.run(work.second)
        assert work.said == ["first begins", "first ends"]
    assert work.said == ["first begins", "first ends", "second begins", "second ends"]


async def test_what_fails_is_raised_where_the_next_is_given() -> None:
    work = Work()
    work.may_end.set()
    async with OneBehind() as behind:
        await behind.run(work.fails)
        with pytest.raises(ZeroDivisionError):
            await behind.run(work.second)
    assert work.said == ["it begins", "it ends"]


async def test_what_fails_last_is_raised_at_the_end() -> None:
    work = Work()
    work.may_end.set()
    with pytest.raises(ZeroDivisionError):
        async with OneBehind() as behind:
            await behind.run(work.fails)


async def test_an_error_of_the_maker_lets_what_is_under_way_come_to_its_end() -> None:
    work = Work()

    async def make() -> None:
        async with OneBehind() as behind:
            await behind.run(work.fails)
            asyncio.get_running_loop().call_later(0.01, work.may_end.set)
            raise KeyError

    with pytest.raises(KeyError):
        await make()
    assert work.said == ["it begins", "it ends"]
