"""A Redis of dibs's own: a child process on a Unix socket that keeps every write on disk."""

import asyncio
import hashlib
import logging
import os
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from urllib.parse import quote

from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from dibs.errors import StartError

log = logging.getLogger(__name__)

PROGRAMS = ("redis-server", "valkey-server")

# sockaddr_un holds 104 bytes on macOS, 108 on Linux.
LONGEST_SOCKET = 100

START_S = 30.0
STOP_S = 10.0
LOOK_S = 0.02
WATCH_S = 0.25


def find_program() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class _State(Enum):
    ANSWERS = auto()
    BUSY = auto()
    GONE = auto()


class PrivateRedis:
    """Starts `program` on `data_dir`, or takes over the one that an earlier dibs left there; restarts it if it dies.

    Whoever uses it holds the lock on `data_dir`.
    """

    def __init__(self, program: str, data_dir: Path) -> None:
        self._program = program
        self._data_dir = data_dir.resolve()
        self._log = self._data_dir / "redis.log"
        self._process: Process | None = None
        self.socket = _socket_path(self._data_dir)

    @property
    def name(self) -> str:
        return Path(self._program).name

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    async def start(self) -> None:
        """Return when it answers; raises `StartError`."""
        if await self._state() is _State.GONE:
            await self._spawn()
        else:
            log.info("taking over the %s that an earlier dibs left at %s", self.name, self.socket)
        give_up_at = asyncio.get_running_loop().time() + START_S
        while (state := await self._state()) is not _State.ANSWERS:
            ended = self._process is not None and self._process.returncode is not None
            # While it reads its file it is busy, for as long as that takes.
            late = state is _State.GONE and asyncio.get_running_loop().time() > give_up_at
            if ended or late:
                raise StartError(f"{self.name} did not start: {self._last_words()} (more in {self._log})")
            await asyncio.sleep(LOOK_S)

    async def watch_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if not await self._has_ended():
                continue
            log.error("%s ended: %s; starting it again", self.name, self._last_words())
            try:
                await self.start()
            except (StartError, OSError) as error:
                log.error("%s", error)
            else:
                log.warning("%s is back, with all that was accepted", self.name)

    async def stop(self) -> None:
        # It answers a shutdown by closing the connection, which the client tells as an error.
        with suppress(RedisError):
            async with self._client() as redis:
                await redis.shutdown(nosave=True)
        try:
            async with asyncio.timeout(STOP_S):
                while not await self._has_ended():  # noqa: ASYNC110  # one that was taken over tells nobody
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            log.warning("%s does not stop", self.name)
            if self._process is not None:
                self._process.kill()  # nothing is lost: what it confirmed is on disk
                await self._process.wait()

    async def _spawn(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._data_dir),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "logfile": str(self._log),
        }
        with self._log.open("ab") as early_words:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                *(part for name, value in options.items() for part in (f"--{name}", value)),
                stdin=DEVNULL,
                stdout=early_words,
                stderr=early_words,
                # In a session of its own a Ctrl-C does not reach it: it must outlive the worker's last batch.
                start_new_session=True,
                # It refuses to start in a locale that is not installed.
                env={**os.environ, "LC_ALL": "C"},
            )

    async def _has_ended(self) -> bool:
        if self._process is not None:
            return self._process.returncode is not None
        return await self._state() is _State.GONE

    async def _state(self) -> _State:
        try:
            async with self._client() as redis:
                await redis.ping()
        except BusyLoadingError:
            return _State.BUSY
        except RedisConnectionError:
            return _State.GONE
        except RedisError:
            return _State.BUSY
        return _State.ANSWERS

    def _client(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), socket_connect_timeout=1, socket_timeout=1)

    def _last_words(self) -> str:
        with suppress(OSError), self._log.open("rb") as said:
            said.seek(max(0, self._log.stat().st_size - 1000))
            lines = said.read().decode(errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return "it said nothing"


def _socket_path(data_dir: Path) -> Path:
    path = data_dir / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return path
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"dibs-{os.getuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    # The name can be guessed and the directory is everybody's: somebody else may have been there first.
    found = short.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or short.is_symlink():
        raise StartError(f"{short} is not private to this user; set DIBS_DATA_DIR to a shorter path")
    return short / "redis.sock"
