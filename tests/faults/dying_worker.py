"""A worker that dies by SIGKILL at a place of the test's choice: `python -m tests.faults.dying_worker PLACE`.

`leased`: it has the batch and did nothing. `committed`: the receipts are written, Redis knows nothing of it.
`told`: under arq's own command, which marks a job done after our function has returned.
"""

import asyncio
import os
import signal
import sys
from typing import Any, NoReturn

from arq.worker import create_worker

from shared.database import open_database
from shared.settings import Settings
from worker.main import arq_settings, at_work, make_hands, make_runner, open_queue


def die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


async def run(place: str, settings: Settings) -> None:
    queue = open_queue(settings)
    hands = make_hands(settings, open_database(settings.need("database_url")), queue)
    if place == "leased":
        hands.run = die  # type: ignore[method-assign]
    elif place == "committed":
        queue.finish = die  # type: ignore[method-assign]
    else:
        raise SystemExit(f"no such place: {place}")
    async with at_work(hands):
        await make_runner(settings, hands).run_until(asyncio.Event(), grace_s=0)


def run_arq(settings: Settings) -> None:
    worker = create_worker(arq_settings(settings))
    worker.finish_job = die  # type: ignore[method-assign]
    worker.run()


if __name__ == "__main__":
    if sys.argv[1] == "told":
        run_arq(Settings.load())
    else:
        asyncio.run(run(sys.argv[1], Settings.load()))
