"""Where in the code under test something happened, for messages."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import greenlet

KIT = str(Path(__file__).parent)
LIBRARIES = ("sqlalchemy", "contextlib", "asyncio", "greenlet", "fastapi", "starlette", "httpx", "anyio", "arq")
NOWHERE = "code that cannot be told"


def place() -> str:
    """`file:line in function` of the innermost frame that is neither a library's nor the kit's."""
    for frame in _frames(sys._getframe(1)):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in LIBRARIES or frame.f_code.co_filename.startswith(KIT):
            continue
        return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return NOWHERE


def _frames(innermost: FrameType | None) -> Iterator[FrameType]:
    """Outwards, and where the synchronous half of SQLAlchemy ends, on in the coroutine that awaits it."""
    frame: FrameType | None = innermost
    while frame is not None:
        yield frame
        frame = frame.f_back
    parent = greenlet.getcurrent().parent
    frame = parent.gr_frame if parent is not None else None
    while frame is not None:
        yield frame
        frame = frame.f_back
