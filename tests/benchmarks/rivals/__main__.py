"""`python -m tests.benchmarks.rivals NAME fill|work ADDS`."""

import asyncio
import contextlib
import importlib
import signal
import sys

import uvloop

from tests.benchmarks.rivals.rival import Rival


async def until_stopped(rival: Rival, adds: int) -> None:
    """The first SIGTERM cancels the worker, which is how all of them are told to stop in order here."""
    working = asyncio.ensure_future(rival.work(adds))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working


def main() -> None:
    name, act, adds = sys.argv[1:]
    # Each is imported alone: they do not all live in the same environment.
    rival: Rival = importlib.import_module(f"tests.benchmarks.rivals.{name}_rival").rival()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if act == "fill":
            runner.run(rival.fill(int(adds)))
            print("{}")  # noqa: T201  # its caller reads it
        else:
            runner.run(until_stopped(rival, int(adds)))


if __name__ == "__main__":
    main()
