"""A worker that dies by SIGKILL at a place of the test's choice: `python -m tests.faults.dying_worker PLACE`."""

import asyncio
import os
import signal
import sys
from typing import Any, NoReturn

from shared.database import open_database
from shared.queue import Queue, open_redis
from shared.settings import Settings
from worker.main import at_work, make_hands, make_runner


def die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


def arrange(place: str, queue: Queue, runner: Any) -> None:
    """`before-settle`: committed, nothing told to Redis. `before-done`: told, but arq has not marked it done."""
    if place == "before-settle":
        queue.settle = die  # type: ignore[method-assign]
    elif place == "before-done":
        runner.finish_job = die
    elif place == "picked":
        runner.run_job = die
    else:
        raise SystemExit(f"no such place: {place}")


async def main(place: str) -> None:
    settings = Settings.load()
    database = open_database(settings.need("database_url"))
    queue = Queue(open_redis(settings.need("redis_url")), settings.queue_name, limit=settings.queue_limit)
    hands = make_hands(settings, database, queue)
    runner = make_runner(settings, hands)
    arrange(place, queue, runner)
    async with at_work(hands):
        await runner.run_until(asyncio.Event(), grace_s=0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
