"""One piece of work that goes on while the next is made ready."""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self


class OneBehind:
    """Runs pieces of work in their order, each while its maker is busy with the next one.

    What a piece raises is raised where the next is given, or at the end of the block. A block that ends by an error
    of its own lets the piece under way come to its end first.
    """

    def __init__(self) -> None:
        self._under_way: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self.finish()
        self._under_way = asyncio.create_task(work())

    async def finish(self) -> None:
        """Wait for what is under way."""
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            try:
                await under_way
            except asyncio.CancelledError:
                under_way.cancel()
                raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.finish()
        elif self._under_way is not None:
            await asyncio.wait({self._under_way})
            # Told by the error that is raised already, which came first to whoever reads the answer.
            if not self._under_way.cancelled():
                self._under_way.exception()
