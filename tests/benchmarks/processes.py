"""The processes under measure: started, watched through /proc, stopped in order."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Broken(Exception):  # noqa: N818
    """A process under measure did not do what it was started for."""


@dataclass(frozen=True)
class Command:
    """What to run in the project's directory, and the variables that it needs."""

    arguments: Sequence[str]
    environment: Mapping[str, str]

    @classmethod
    def python(cls, *arguments: str, environment: Mapping[str, str], executable: str = sys.executable) -> "Command":
        return cls([executable, *arguments], environment)


@dataclass(frozen=True)
class Running:
    pid: int
    process: asyncio.subprocess.Process
    output: IO[bytes]

    def cpu_s(self) -> float:
        """Processor time so far, its ended children included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS_PER_S

    def peak_rss_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def said(self) -> str:
        self.output.seek(0)
        return self.output.read().decode(errors="replace")[-2000:]

    def check(self) -> None:
        if self.process.returncode is not None:
            raise Broken(f"a process ended with {self.process.returncode}:\n{self.said()}")


@contextlib.asynccontextmanager
async def running(command: Command) -> AsyncIterator[Running]:
    """Run `command` in a process group of its own; at the end stop it by SIGTERM, and whatever is left by SIGKILL."""
    with tempfile.TemporaryFile() as output:
        process = await _start(command, stdout=output, stderr=output)
        started = Running(process.pid, process, output)
        try:
            yield started
            started.check()
        finally:
            await _stop(process)


async def _start(command: Command, **streams: Any) -> asyncio.subprocess.Process:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
    return await asyncio.create_subprocess_exec(
        *command.arguments,
        cwd=ROOT,
        env={**kept, **command.environment},
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        **streams,
    )


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def result_of(command: Command) -> Any:
    """Run `command` to its end and return the JSON that it printed; raises `Broken`."""
    process = await _start(command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise Broken(f"{command.arguments[-3:]} ended with {process.returncode}:\n{err.decode()[-2000:]}")
    return orjson.loads(out.splitlines()[-1])


async def answering(url: str, started: Running) -> None:
    """Return when `url` answers with a 200."""
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while not await asyncio.to_thread(_answers, url):
        started.check()
        if time.monotonic() > give_up_at:
            raise Broken(f"no answer within {START_TIMEOUT_S:g} s:\n{started.said()}")
        await asyncio.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
