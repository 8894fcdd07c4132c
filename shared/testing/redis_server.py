"""A Redis as a test starts it: on data of its own, stopped and removed with whoever asked."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from shared.testing.missing import missing
from shared.testing.ports import free_port

NO_REDIS = "no Redis server found: apt-get install redis-server, or put redis-server or valkey-server on PATH"

START_TIMEOUT_S = 30


def redis_program() -> str:
    return shutil.which("redis-server") or shutil.which("valkey-server") or missing(NO_REDIS)


class PrivateRedis:
    """A Redis of its own that keeps every write on disk; `with` starts it, and at the end stops and removes it.

    `options` are those of redis-server.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        self._program = redis_program()
        self._directory = Path(tempfile.mkdtemp(prefix="dibs-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        assert self._process is None
        self._process = subprocess.Popen(  # noqa: S603  # a program that was looked up, on arguments of our own
            [
                self._program, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._directory),
                "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--databases", "10000",
                "--logfile", str(self._directory / "log"), *self._options,
            ],
            start_new_session=True,
        )  # fmt: skip
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError("Redis did not start: " + (self._directory / "log").read_text()[-2000:])
            time.sleep(0.01)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._directory)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(START_TIMEOUT_S)
        self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            return False
