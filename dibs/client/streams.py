"""The caller's streams, from which a bulk draws its lines."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from dibs.client.errors import Unsendable
from dibs.client.steps import LINGER_S, Stream
from shared.tasks import beside

READ_AHEAD = 100
"""Items of an async stream that are read before they are wanted."""

Take = Callable[[Any], bool]


class Source:
    """A stream that is read in place: nobody else runs while it makes up its next item."""

    def __init__(self, stream: Iterable[Any]) -> None:
        self._items = iter(stream)

    def draw(self, take: Take) -> bool:
        """As `Draw` says."""
        give_up_at = time.monotonic() + LINGER_S
        for item in self._items:
            is_wanted = take(item)
            if not is_wanted or time.monotonic() > give_up_at:
                return False
        return True


class AsyncSource:
    """A stream that a task of its own reads, so that waiting for an item can end without ending the stream."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._room = asyncio.Semaphore(READ_AHEAD)
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._has_ended = False

    async def read(self, stream: AsyncIterable[Any]) -> None:
        try:
            async for item in stream:
                await self._room.acquire()
                self._items.append(item)
                self._news.set()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the drawer's
            self._error = error
        self._has_ended = True
        self._news.set()

    async def draw(self, take: Take, *, is_patient: bool) -> bool:
        """As `Draw` says; raises what the stream raised, behind its last item."""
        loop = asyncio.get_running_loop()
        give_up_at = None if is_patient else loop.time() + LINGER_S
        while True:
            while self._items:
                item = self._items.popleft()
                self._room.release()
                if not take(item):
                    return False
                give_up_at = give_up_at or loop.time() + LINGER_S
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return True
            self._news.clear()
            try:
                async with asyncio.timeout_at(give_up_at):
                    await self._news.wait()
            except TimeoutError:
                return False


def open_sync(stream: Stream) -> Source:
    """Raises `Unsendable`."""
    if not isinstance(stream, Iterable):
        raise Unsendable(f"{type(stream).__name__} is not iterable, or only by the async face")
    return Source(stream)


@asynccontextmanager
async def open_async(stream: Stream) -> AsyncIterator[Source | AsyncSource]:
    """Raises `Unsendable`."""
    if not isinstance(stream, AsyncIterable):
        yield open_sync(stream)
        return
    source = AsyncSource()
    async with beside(stream=source.read(stream)):
        yield source
