"""Tasks that run beside the work, and end when told."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

CANCEL_AGAIN_S = 15.0
"""Longer than SQLite waits for a lock: a second cancel while SQLAlchemy closes a connection would hang it."""

CANCEL_LOOP_AGAIN_S = 0.5
"""For loops that talk to nothing but Redis."""


async def cancel(tasks: Iterable[asyncio.Task[Any]], *, again_s: float = CANCEL_AGAIN_S) -> None:
    """Cancel `tasks` until they are gone.

    Once is not enough: on Python 3.11 `asyncio.wait_for` swallows a cancel that arrives together with its
    result (cpython issue 86296), and redis-py sends every command through it.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_s)


@asynccontextmanager
async def beside(
    *, again_s: float = CANCEL_LOOP_AGAIN_S, **coroutines: Coroutine[Any, Any, None]
) -> AsyncIterator[None]:
    """Run `coroutines`, named by their keywords, for as long as the block lasts."""
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in coroutines.items()]
    try:
        yield
    finally:
        await cancel(tasks, again_s=again_s)
        await asyncio.gather(*tasks, return_exceptions=True)
