"""What is asked while an answer is on its way is asked together when that answer is there."""

import asyncio
from collections.abc import Sequence

import pytest

from api.together import Together


class Asked:
    """Answers each number with its double once it is let, and notes what was asked together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.is_asked = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(numbers))
        self.is_asked.set()
        await self.may_answer.wait()
        return [ValueError(str(number)) if number < 0 else number * 2 for number in numbers]


async def test_the_first_goes_at_once_and_those_that_come_meanwhile_go_together() -> None:
    asked = Asked()
    together = Together("test", asked, most=3)
    first = asyncio.create_task(together.get(1))
    await asked.is_asked.wait()
    others = [asyncio.create_task(together.get(number)) for number in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    assert asked.batches == [[1]]
    asked.may_answer.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8, 10]
    assert asked.batches == [[1], [2, 3, 4], [5]]


async def test_an_exception_goes_to_the_one_in_whose_place_it_stands() -> None:
    asked = Asked()
    asked.may_answer.set()
    together = Together("test", asked, most=3)
    good, bad = await asyncio.gather(together.get(1), together.get(-1), return_exceptions=True)
    assert good == 2
    assert isinstance(bad, ValueError)


async def test_a_failure_goes_to_the_whole_batch_and_ends_nothing() -> None:
    fails = True

    async def ask(numbers: Sequence[int]) -> Sequence[int]:
        if fails:
            raise ConnectionError
        return numbers

    together = Together("test", ask, most=3)
    both = await asyncio.gather(together.get(1), together.get(2), return_exceptions=True)
    assert [type(one) for one in both] == [ConnectionError, ConnectionError]
    fails = False
    assert await together.get(3) == 3


async def test_one_that_goes_away_takes_nobody_along() -> None:
    asked = Asked()
    together = Together("test", asked, most=3)
    gone, stays = asyncio.create_task(together.get(1)), asyncio.create_task(together.get(2))
    await asked.is_asked.wait()
    gone.cancel()
    asked.may_answer.set()
    assert await stays == 4


async def test_a_stop_lets_everybody_go() -> None:
    asked = Asked()
    together = Together("test", asked, most=1)
    waiting = [asyncio.create_task(together.get(number)) for number in (1, 2)]
    await asked.is_asked.wait()
    await together.close()
    for one in waiting:
        with pytest.raises(ConnectionError):
            await one


async def test_as_many_as_are_worth_it_go_while_the_first_is_under_way_and_the_rest_with_whoever_is_back() -> None:
    asked = Asked()
    together = Together("test", asked, most=10, worth=3)
    first = asyncio.create_task(together.get(1))
    await asked.is_asked.wait()
    others = [asyncio.create_task(together.get(number)) for number in range(2, 10)]
    await asyncio.sleep(0)
    assert asked.batches == [[1]]
    await asyncio.sleep(0)
    assert [batch[0] for batch in asked.batches] == [1, 2]
    asked.may_answer.set()
    assert await asyncio.gather(first, *others) == [number * 2 for number in range(1, 10)]


async def test_who_comes_in_the_moment_in_which_all_are_answered_is_asked_for_too() -> None:
    asked = Asked()
    asked.may_answer.set()
    together = Together("test", asked, most=3, worth=3)

    async def one_after_the_other() -> list[int]:
        return [await together.get(number) for number in range(5)]

    async with asyncio.timeout(5):
        assert await one_after_the_other() == [0, 2, 4, 6, 8]
