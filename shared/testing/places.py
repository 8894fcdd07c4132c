"""Where in the code under test something happened, for messages."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any

import greenlet

KIT = str(Path(__file__).parent)
LIBRARIES = frozenset(
    {
        "anyio", "arq", "asyncio", "contextlib", "fastapi", "greenlet", "httpx", "pluggy", "pytest", "pytest_asyncio",
        "_pytest", "sqlalchemy", "starlette",
    }
)  # fmt: skip
RUNNERS = frozenset({"asyncio.events", "asyncio.runners", "_pytest.python", "runpy"})
NOWHERE = "a place that cannot be told"


def place() -> str:
    """`file:line in function` of the innermost frame that is neither a library's nor the kit's."""
    for frame in _frames(sys._getframe(1)):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in LIBRARIES and not frame.f_code.co_filename.startswith(KIT):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return NOWHERE


def _frames(innermost: FrameType | None) -> Iterator[FrameType]:
    """Outwards; where SQLAlchemy's synchronous half ends, on in what awaits it, and from a task to its waiter."""
    yield from _outwards(innermost)
    parent = greenlet.getcurrent().parent
    if parent is not None:
        yield from _outwards(parent.gr_frame)
    task = asyncio.current_task()
    while task is not None and (task := _shielded_from(task)) is not None:
        yield from reversed([*_suspended(task)])


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    """As far as the loop, or pytest, that runs it."""
    while frame is not None and str(frame.f_globals.get("__name__")) not in RUNNERS:
        yield frame
        frame = frame.f_back


def _shielded_from(task: "asyncio.Task[Any]") -> "asyncio.Task[Any] | None":
    """Who waits for `task` behind `asyncio.shield`: `async with sessions.begin()` commits in a task of its own."""
    for callback, _ in getattr(task, "_callbacks", None) or ():
        for cell in getattr(callback, "__closure__", None) or ():
            outer = cell.cell_contents
            if isinstance(outer, asyncio.Future):
                for wakeup, _context in getattr(outer, "_callbacks", None) or ():
                    waiter = getattr(wakeup, "__self__", None)
                    if isinstance(waiter, asyncio.Task):
                        return waiter
    return None


def _suspended(task: "asyncio.Task[Any]") -> Iterator[FrameType]:
    """The frames of a task that waits, outermost first."""
    coroutine: Any = task.get_coro()
    while isinstance(coroutine, CoroutineType):
        if coroutine.cr_frame is not None:
            yield coroutine.cr_frame
        coroutine = coroutine.cr_await
