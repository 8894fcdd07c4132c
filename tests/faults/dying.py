"""dibs that dies by SIGKILL at a named point: `python -m tests.faults.dying COMMAND POINT [JOB]`.

COMMAND is a command of `dibs`, or `arq` for arq's own worker. With JOB it dies only where that job is.
"""

import os
import signal
import sys
from typing import Any, NoReturn
from uuid import UUID

from arq.worker import create_worker

from dibs.command import main
from shared.points import Point, listening
from shared.settings import Settings
from worker.main import arq_settings

MARKED = "marked"
"""arq's own point: our function has returned, and arq is about to mark the job done."""


def die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


def run_arq() -> None:
    worker = create_worker(arq_settings(Settings.load()))
    worker.finish_job = die  # type: ignore[method-assign]
    worker.run()


def run(command: str, point: Point, job: UUID | None) -> None:
    async def die_there(reached: Point, jobs: frozenset[UUID]) -> None:
        if reached is point and (job is None or job in jobs):
            die()

    sys.argv = ["dibs", command]
    with listening(die_there):
        main()


if __name__ == "__main__":
    command, point, *job = sys.argv[1:]
    if command == "arq":
        assert point == MARKED
        run_arq()
    else:
        run(command, Point(point), UUID(job[0]) if job else None)
