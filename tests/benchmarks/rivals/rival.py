"""What a rival is, to whoever measures it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from tests.benchmarks.rivals.loop import ENQUEUERS, candidates_of

T = TypeVar("T")


class Rival(Protocol):
    async def fill(self, adds: int) -> None:
        """Enqueue that many adds, by the rival's own call."""

    async def work(self, adds: int) -> None:
        """Run a worker until SIGTERM; only who has no queue needs to know how many `adds` there are."""


async def side_by_side(adds: int, enqueue: Callable[[list[str]], Awaitable[object]]) -> None:
    """Call `enqueue` for each add, several at a time."""
    left = iter(candidates_of(adds))

    async def enqueue_next() -> None:
        for candidates in left:
            await enqueue(candidates)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(ENQUEUERS):
            tasks.create_task(enqueue_next())
