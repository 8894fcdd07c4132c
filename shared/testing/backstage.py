"""A loop of the kit's own, in a thread: what must outlive the loops of the tests lives in it.

pytest-asyncio gives each test a loop of its own by default, and a connection of asyncpg belongs to the loop in
which it was opened: used in the next test it raises "attached to a different loop". The one connection of the fast
mode is therefore opened here, and `Elsewhere` lends it to whatever loop asks.
"""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from asyncpg import Connection
from asyncpg.cursor import Cursor, CursorFactory
from asyncpg.prepared_stmt import PreparedStatement
from asyncpg.transaction import Transaction

T = TypeVar("T")

LIVE = (Connection, Transaction, PreparedStatement, Cursor, CursorFactory)
"""What asyncpg hands out that talks to the server."""


class Backstage:
    """Runs coroutines in a loop and a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="dibs backstage", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` there and wait for its end. Blocks the caller's loop, if it has one, on purpose."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def borrow(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` there and await its end here. A cancel here is a cancel there, and its end is awaited too:
        who comes next must not meet a statement that is still being cancelled.
        """
        remote: asyncio.Future[T] = asyncio.Future(loop=self.loop)
        here = asyncio.get_running_loop()
        ended = here.create_future()

        def start() -> None:
            nonlocal remote
            remote = self.loop.create_task(coroutine)
            remote.add_done_callback(lambda _: here.call_soon_threadsafe(_settle, ended))

        self.loop.call_soon_threadsafe(start)
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            self.loop.call_soon_threadsafe(lambda: remote.cancel())  # noqa: PLW0108  # it is another once it has started
            await ended
            if not remote.cancelled():
                remote.exception()  # looked at; the cancel is what counts
            raise
        return remote.result()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Elsewhere:
    """`target`, which lives backstage, for callers in any loop: what they await is done there."""

    def __init__(self, backstage: Backstage, target: Any) -> None:
        self._backstage = backstage
        self.lent = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.lent, name)
        if not callable(found):
            return found
        if name == "terminate":
            return lambda: self._backstage.loop.call_soon_threadsafe(found)
        return self._lent(found)

    def __await__(self) -> Any:
        return self._awaited(_await(self.lent)).__await__()

    def _lent(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return self._awaited(result) if inspect.iscoroutine(result) else self._wrapped(result)

        return call

    async def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._wrapped(await self._backstage.borrow(coroutine))

    def _wrapped(self, result: Any) -> Any:
        return Elsewhere(self._backstage, result) if isinstance(result, LIVE) else result


def _settle(ended: "asyncio.Future[None]") -> None:
    if not ended.done():  # a second cancel did not wait for it
        ended.set_result(None)


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
