"""Who is measured: dibs and what a user would run instead, each with its fast settings, which the table tells."""

import os
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.doors import dibs_door, loaded
from tests.benchmarks.processes import ROOT, Command, result_of
from tests.benchmarks.servers import Fsync
from tests.benchmarks.stage import LostOrDoubled, Stage
from tests.benchmarks.surface import dibs_environment, dibs_queue

RIVALS_PYTHON = Path(os.environ.get("DIBS_BENCH_PYTHON", ROOT / ".venv-bench" / "bin" / "python"))
"""arq and the rest do not live in one environment: arq 0.28 refuses the redis client that others want."""


@dataclass(frozen=True)
class Contender(ABC):
    """`settings` are in the words of the table; `share` says how many adds it gets of the most there are.

    `settle_s` is how long its worker is left alone after the last commit: some rivals run a job again that they
    had done but not yet noted when they were told to stop, and how a stop goes is not measured here. What
    `may_double` promises no more than "at least once"; it is told, and does not end the run.
    """

    name: str
    settings: str
    share: float
    appendfsync: Fsync
    receipts: bool
    settle_s: float
    may_double: bool

    @abstractmethod
    def missing(self) -> str | None:
        """Why it cannot run here, if so."""

    @abstractmethod
    async def fill(self, stage: Stage, adds: int) -> None:
        """Put that many adds into the queue, by the contender's own way in, one by one."""

    @abstractmethod
    def worker(self, stage: Stage, adds: int) -> Command:
        """A worker, in one process."""


@dataclass(frozen=True)
class Dibs(Contender):
    name: str = "dibs"
    settings: str = "defaults; filled by POST /add/animals on 32 connections; Redis appendfsync always"
    share: float = 1.0
    appendfsync: Fsync = "always"
    receipts: bool = True
    settle_s: float = 0.0
    may_double: bool = False

    def missing(self) -> str | None:
        return None

    async def fill(self, stage: Stage, adds: int) -> None:
        async with dibs_door(stage) as door:
            await loaded(door, adds)
        async with dibs_queue(stage) as queue:
            if (depth := await queue.depth()) != adds:
                raise LostOrDoubled(f"{adds} adds were accepted, and {depth} wait")

    def worker(self, stage: Stage, adds: int) -> Command:
        return Command.python("-m", "dibs", "worker", environment=dibs_environment(stage))


@dataclass(frozen=True)
class Rival(Contender):
    """Somebody in `tests.benchmarks.rivals`."""

    appendfsync: Fsync = "everysec"
    receipts: bool = False
    settle_s: float = 0.5
    may_double: bool = True
    module: str = ""
    own_environment: bool = True

    @property
    def _python(self) -> str:
        return str(RIVALS_PYTHON) if self.own_environment else sys.executable

    def missing(self) -> str | None:
        if self.own_environment and not RIVALS_PYTHON.exists():
            return "not installed: `make bench` installs it"
        return None

    async def fill(self, stage: Stage, adds: int) -> None:
        await result_of(self._command(stage, "fill", adds))

    def worker(self, stage: Stage, adds: int) -> Command:
        return self._command(stage, "work", adds)

    def _command(self, stage: Stage, act: str, adds: int) -> Command:
        environment = {"BENCH_DATABASE_URL": stage.database_url, "BENCH_REDIS_URL": stage.redis_url}
        arguments = ("-m", "tests.benchmarks.rivals", self.module, act, str(adds))
        return Command.python(*arguments, environment=environment, executable=self._python)


DIBS = Dibs()
NO_QUEUE = Rival(
    "no queue", "20 tasks do the loop in one process; nothing is kept", 0.2, module="none", own_environment=False
)
ARQ = Rival("arq", "defaults: max_jobs=10, poll_delay=0.5", 0.03, module="arq", own_environment=False)
ARQ_TUNED = Rival("arq tuned", "max_jobs=20, poll_delay=0.01", 0.15, module="arq_tuned", own_environment=False)
SAQ = Rival("SAQ", "concurrency=20, max_concurrent_ops=32, hiredis", 0.15, module="saq")
TASKIQ = Rival("taskiq", "RedisStreamBroker with results, max_async_tasks=20, max_prefetch=20", 0.12, module="taskiq")
STREAQ = Rival("streaQ", "concurrency=20, prefetch as it comes: 20 more", 0.1, module="streaq")
PROCRASTINATE = Rival(
    "procrastinate",
    "concurrency=20, a pool of 22, listen_notify; its queue is in PostgreSQL",
    0.04,
    module="procrastinate",
)
DOCKET = Rival("docket", "concurrency=20, message_batch as it comes: 1,000", 0.015, module="docket")

ALL: list[Contender] = [DIBS, NO_QUEUE, ARQ, ARQ_TUNED, SAQ, TASKIQ, STREAQ, PROCRASTINATE, DOCKET]
