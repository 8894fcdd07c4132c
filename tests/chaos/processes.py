"""dibs's processes, each started again whenever it has ended."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.services import free_port

READY_S = 60.0
ROOT = Path(__file__).parents[2]


class Slot:
    """A place for one `dibs api` or `dibs worker`: there is always one in it, or one on its way."""

    def __init__(self, command: str, number: int, environment: dict[str, str], logs: Path) -> None:
        self.name = f"{command}-{number}"
        self.command = command
        self.port = free_port() if command == "api" else 0
        self.up = asyncio.Event()
        self.log = logs / f"{self.name}.log"
        self.starts = 0
        self.unasked: list[int] = []
        """Exit codes of processes that ended though nobody told them to."""
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._told = False
        self._keeps = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def keep(self) -> None:
        """Start it, and start it again, until `end`."""
        while self._keeps:
            self._told = False
            await self._run()
            self.up.clear()

    async def _run(self) -> None:
        options = ["--port", str(self.port)] if self.command == "api" else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
        with self.log.open("ab") as stderr:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dibs", self.command, *options,
                cwd=ROOT, env=kept | self._environment, stdout=asyncio.subprocess.PIPE, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        assert process.stdout is not None
        if await process.stdout.readline():
            self.up.set()
        code = await process.wait()
        if not self._told:
            self.unasked.append(code)

    def tell(self, number: signal.Signals) -> None:
        assert self._process is not None
        if number in {signal.SIGKILL, signal.SIGTERM}:
            self._told = True
            self.up.clear()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def end(self) -> None:
        """Stop it in order, and start no other."""
        self._keeps = False
        if self._process is not None and self._process.returncode is None:
            self.tell(signal.SIGTERM)
            await self._process.wait()

    def kill(self) -> None:
        self._keeps = False
        if self._process is not None and self._process.returncode is None:
            self.tell(signal.SIGKILL)


@contextlib.asynccontextmanager
async def kept(slots: list[Slot]) -> AsyncIterator[None]:
    """All of `slots` are up; at the end none is left."""
    tasks = [asyncio.create_task(slot.keep(), name=slot.name) for slot in slots]
    try:
        async with asyncio.timeout(READY_S):
            await asyncio.gather(*(slot.up.wait() for slot in slots))
        yield
    finally:
        for slot in slots:
            slot.kill()
        await asyncio.gather(*tasks)
