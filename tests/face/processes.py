"""dibs as its users run it: real processes, real signals, a data directory of the test's own."""

import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, cast

from redis import Redis
from redis.exceptions import RedisError

from dibs.client import Client
from tests.services import redis_program

PATIENCE_S = 30.0


def python_m_dibs(*arguments: str, module: str = "dibs") -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A `dibs` that ends by itself."""
    return subprocess.run(
        python_m_dibs(*arguments),
        env=clean(environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def clean(environment: dict[str, str]) -> dict[str, str]:
    """Nothing of the developer's own settings, and no redis-server unless PATH is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_") and name != "PATH"}
    return {**kept, "PATH": "", "DIBS_PORT": "0", "DIBS_DRAIN_S": "0", **environment}


def path_with_redis() -> str:
    return str(Path(redis_program()).parent)


@contextmanager
def data_directory() -> Iterator[Path]:
    """Short enough for a socket; whatever Redis was left there ends with it."""
    path = Path(tempfile.mkdtemp(prefix="dibs-face-"))
    try:
        yield path
    finally:
        with suppress(RedisError), closing(redis_of(path)) as redis:
            redis.shutdown(nosave=True)
        shutil.rmtree(path)


def redis_of(data_dir: Path) -> Redis:
    return Redis(unix_socket_path=str(data_dir / "redis.sock"), socket_timeout=5)


def redis_process(data_dir: Path) -> int:
    with closing(redis_of(data_dir)) as redis:
        return int(cast("dict[str, Any]", redis.info("server"))["process_id"])


@contextmanager
def held_back(data_dir: Path) -> Iterator[None]:
    """Nobody else can write to the embedded database: what is accepted meanwhile stays undone."""
    with closing(sqlite3.connect(data_dir / "dibs.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def names_in(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as opened:
        return [name for (name,) in opened.execute("SELECT name FROM animals ORDER BY name")]


class Running:
    """A `dibs serve`, `dibs api` or `dibs worker` that said it is ready; `with` kills it if it still runs."""

    def __init__(self, log: Path, *arguments: str, module: str = "dibs", **environment: str) -> None:
        self._log = log
        command = python_m_dibs(*arguments, module=module)
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                command, env=clean(environment), stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        self.ready_line = self.process.stdout.readline().strip() if readable else ""
        if not self.ready_line:
            self.kill()
            raise RuntimeError(f"dibs {' '.join(arguments)} is not ready: {self.log}")

    @property
    def url(self) -> str:
        return self.ready_line.rpartition(" ")[2]

    @property
    def log(self) -> str:
        return self._log.read_text()

    def client(self) -> Client:
        return Client(self.url)

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def until_log_says(self, text: str, times: int = 1) -> None:
        give_up_at = time.monotonic() + PATIENCE_S
        while self.log.count(text) < times:
            assert time.monotonic() < give_up_at, f"never said {text!r}: {self.log}"
            time.sleep(0.01)

    def ended(self, within_s: float = PATIENCE_S) -> int:
        """Its exit code."""
        return self.process.wait(within_s)

    def stop(self) -> int:
        self.tell(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def serve(data_dir: Path, *, path: str = "", **environment: str) -> Running:
    return Running(data_dir / "stderr", "serve", PATH=path, DIBS_DATA_DIR=str(data_dir), **environment)
