"""What is asked while an answer is on its way is asked together, in one go, when that answer is there.

There is no timer: the first who asks is served at once, and however many came until then follow in one round trip.
So a batch has one in it when it is quiet and many under load.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from shared.tasks import cancel

Wish = TypeVar("Wish")
Answer = TypeVar("Answer")


class Together(Generic[Wish, Answer]):
    """Asks `ask` for up to `most` at a time; it gives an answer or an exception for each, in their order.

    One batch at a time is under way, and one more as soon as `worth` have arrived behind it, if that is given. An
    exception that `ask` itself raises goes to everybody in the batch.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[Sequence[Wish]], Awaitable[Sequence[Answer | Exception]]],
        *,
        most: int,
        worth: int | None = None,
    ) -> None:
        self._name = name
        self._ask = ask
        self._most = most
        self._worth = worth
        self._arrived: list[tuple[Wish, asyncio.Future[Answer]]] = []
        self._asking: set[asyncio.Task[None]] = set()

    async def get(self, wish: Wish) -> Answer:
        """The answer to `wish`, asked after this call; raises what stands in its place."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._arrived.append((wish, answer))
        if not self._asking or (len(self._asking) == 1 and len(self._arrived) == self._worth):
            # What is asked for many is in nobody's trace and under nobody's request id.
            self._asking.add(asyncio.create_task(self._ask_all(), name=self._name, context=Context()))
        return await answer

    async def close(self) -> None:
        """Whoever still waits gets a `ConnectionError`."""
        await cancel([*self._asking])
        left, self._arrived = self._arrived, []
        _tell(left, [ConnectionError("stopped")] * len(left))

    async def _ask_all(self) -> None:
        try:
            while self._arrived:
                batch, self._arrived = self._arrived[: self._most], self._arrived[self._most :]
                await self._ask_batch(batch)
        finally:
            # Not when the task is done, which is later: who comes in between would wait for nobody.
            me = asyncio.current_task()
            assert me is not None
            self._asking.discard(me)

    async def _ask_batch(self, batch: list[tuple[Wish, "asyncio.Future[Answer]"]]) -> None:
        answers: Sequence[Answer | Exception] = [ConnectionError("stopped")] * len(batch)
        try:
            answers = await self._ask([wish for wish, _ in batch])
        except Exception as error:  # noqa: BLE001  # those who asked get it
            answers = [error] * len(batch)
        finally:
            _tell(batch, answers)


def _tell(batch: Sequence[tuple[Wish, "asyncio.Future[Answer]"]], answers: Sequence[Answer | Exception]) -> None:
    """Let those who asked know; one that went away has cancelled its future."""
    for (_, answer), one in zip(batch, answers, strict=True):
        if answer.done():
            continue
        if isinstance(one, Exception):
            answer.set_exception(one)
        else:
            answer.set_result(one)
