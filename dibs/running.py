"""How a command of the server's side runs: with the settings, a log, and an event loop that is left clean."""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from dibs import logs
from dibs.errors import StartError
from dibs.signals import Stop
from shared.registry import CollectionError
from shared.settings import Settings, SettingsError
from shared.tasks import cancel

T = TypeVar("T")


def run(entry: Callable[[Settings], Coroutine[Any, Any, T]], **given: object) -> T:
    """What `entry` returns of the settings; raises `StartError`."""
    try:
        settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
        logs.set_up(settings.log_level, settings.log_format)
        # As `python -m` does: DIBS_MODELS names modules of the application in whose directory we are.
        sys.path.append(str(Path.cwd()))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_to_the_end(entry(settings)))
    except (SettingsError, CollectionError) as error:
        raise StartError(str(error), is_misuse=True) from error


async def _to_the_end(entry: Coroutine[Any, Any, T]) -> T:
    try:
        return await entry
    finally:
        # The loop would cancel what is left once and wait for it for ever; a connection of aiosqlite whose close
        # was cut short needs a second push.
        await cancel(asyncio.all_tasks() - {asyncio.current_task()})


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  # it does not exist on every system
    except ImportError:
        return None
    return uvloop.new_event_loop


def announce(stop: Stop, line: str) -> None:
    """Everything has started: say so on stdout."""
    stop.ready()
    # What the start has made lives as long as the process: the collector need not walk it again and again, which
    # took some 80 ms each time, with every request waiting.
    gc.collect()
    gc.freeze()
    # And what a request makes is mostly gone with it: looked through after every 700 new objects, the default, that was
    # some 4 % of the api's time under load.
    gc.set_threshold(10_000)
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
