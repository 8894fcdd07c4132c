"""No queue at all: so many tasks doing the loop, in the process that has the adds."""

import asyncio

from tests.benchmarks.rivals.loop import AT_A_TIME, add, candidates_of, open_sessions


class NoQueue:
    async def fill(self, adds: int) -> None:
        pass

    async def work(self, adds: int) -> None:
        left = iter(candidates_of(adds))
        async with open_sessions() as sessions:

            async def add_next() -> None:
                for candidates in left:
                    await add(sessions, candidates)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_A_TIME):
                    tasks.create_task(add_next())
            # As a worker would: whoever measures says when to stop.
            await asyncio.Event().wait()


def rival() -> NoQueue:
    return NoQueue()
