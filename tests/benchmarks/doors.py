"""Servers that take adds in by HTTP, and the load that is put on them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.processes import Broken, Command, Running, answering, result_of, running
from tests.benchmarks.stage import Stage
from tests.benchmarks.surface import dibs_environment
from tests.services import free_port

CONNECTIONS = 32


@dataclass(frozen=True)
class Door:
    port: int
    process: Running


@dataclass(frozen=True)
class Loaded:
    """When the first add was sent and the last answered, in seconds since the epoch."""

    first_s: float
    last_s: float
    adds: int
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        return self.adds / (self.last_s - self.first_s)


@asynccontextmanager
async def _door(command: Command, port: int) -> AsyncIterator[Door]:
    async with running(command) as started:
        await answering(f"http://127.0.0.1:{port}/health/live", started)
        yield Door(port, started)


@asynccontextmanager
async def dibs_door(stage: Stage) -> AsyncIterator[Door]:
    port = free_port()
    environment = dibs_environment(stage, DIBS_PORT=str(port))
    async with _door(Command.python("-m", "dibs", "api", environment=environment), port) as door:
        yield door


@asynccontextmanager
async def rival_door(app: str, stage: Stage) -> AsyncIterator[Door]:
    """`app` of the rivals on the server that dibs runs on too: uvicorn, uvloop, httptools, no access log."""
    port = free_port()
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header")
    arguments = ("-m", "uvicorn", f"tests.benchmarks.rivals.{app}:app", "--port", str(port), *options)
    environment = {"BENCH_DATABASE_URL": stage.database_url, "BENCH_REDIS_URL": stage.redis_url}
    async with _door(Command.python(*arguments, environment=environment), port) as door:
        yield door


async def loaded(
    door: Door,
    adds: int,
    *,
    prefix: str = "a",
    wait_s: float = 0,
    per_second: float = 0,
    connections: int = CONNECTIONS,
) -> Loaded:
    """Send `adds` adds from a process of its own; raises `Broken` unless every one was accepted."""
    arguments = (
        "-m", "tests.benchmarks.load", str(door.port), f"--adds={adds}", f"--prefix={prefix}", f"--wait={wait_s}",
        f"--per-second={per_second}", f"--connections={connections}",
    )  # fmt: skip
    told: dict[str, Any] = await result_of(Command.python(*arguments, environment={}))
    wanted = {"200": adds} if wait_s else {"202": adds}
    if told["statuses"] != wanted:
        raise Broken(f"{adds} adds were answered with {told['statuses']}:\n{door.process.said()}")
    return Loaded(told["first_s"], told["last_s"], adds, told["latencies_ms"])
