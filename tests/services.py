"""PostgreSQL and Redis as the tests start them: on data of their own, stopped and removed with whoever asked."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import pytest

REQUIRE = "DIBS_TEST_REQUIRE_SERVICES"
"""Set to 1, a missing server program fails the tests that need it instead of skipping them."""

NO_POSTGRES = "no PostgreSQL server programs found: apt-get install postgresql, or put initdb and pg_ctl on PATH"
NO_REDIS = "no Redis server found: apt-get install redis-server, or put redis-server or valkey-server on PATH"

START_TIMEOUT_S = 30
# Below the ports that Linux gives to outgoing connections: a stopped server finds its port again.
PORTS = (15_000, 32_000)

# Quick, and safe as long as the machine itself stays up: a commit outlives the crash of the server.
POSTGRES_CONF = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
max_connections = 200
shared_buffers = '32MB'
fsync = off
full_page_writes = off
autovacuum = off
deadlock_timeout = '50ms'
"""


def missing(what: str) -> NoReturn:
    """End the test that asked: skipped, or failed where the services are required."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def free_port() -> int:
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def postgres_programs() -> Path:
    """The directory of initdb and pg_ctl."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("pg_ctl"):
        return Path(on_path).resolve().parent
    packaged = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not packaged:
        missing(NO_POSTGRES)
    return max(packaged, key=lambda p: float(p.parent.name))


def redis_program() -> str:
    return shutil.which("redis-server") or shutil.which("valkey-server") or missing(NO_REDIS)


def _postgres_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: somebody else, as arguments of subprocess."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names.get("nobody")
    if entry is None:
        missing("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def children_of(process: int) -> list[int]:
    """The processes that `process` has started and that still are; Linux only."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == process:
                children.append(int(status.parent.name))
    return children


def is_alive(process: int) -> bool:
    """Whether it runs: one that is dead and waits for its parent does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class PrivatePostgres:
    """A cluster of its own, made on the first start; `with` starts it, and at the end stops and removes it."""

    def __init__(self) -> None:
        self._programs = postgres_programs()
        self._user = _postgres_user()
        self._directory = Path(tempfile.mkdtemp(prefix="dibs-postgres-"))
        self._data = self._directory / "data"
        self._log = self._directory / "log"
        self.port = free_port()
        if self._user:
            os.chown(self._directory, self._user["user"], self._user["group"])

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://dibs@127.0.0.1:{self.port}/{database}"

    @property
    def owner(self) -> int:
        """The user that the server runs as."""
        return int(self._user.get("user", os.geteuid()))

    def start(self) -> None:
        if not self._data.exists():
            self._run(
                "initdb", "--username=dibs", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync",
                "--no-instructions",
            )  # fmt: skip
            with (self._data / "postgresql.conf").open("a") as conf:
                conf.write(POSTGRES_CONF.format(port=self.port))
        self._run("pg_ctl", "start", "--wait", f"--timeout={START_TIMEOUT_S}", f"--log={self._log}")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """`fast` ends sessions in order, `immediate` is a crash."""
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}")

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        for process in self._family():
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in self._family():
            os.kill(process, signal.SIGCONT)

    def _family(self) -> list[int]:
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        return [server, *children_of(server)]

    def kill(self) -> None:
        """SIGKILL to the server and to each of its processes."""
        self.pause()  # so that none of them has time to say anything
        family = self._family()
        for process in family:
            os.kill(process, signal.SIGKILL)
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while any(map(is_alive, family)):
            if time.monotonic() > give_up_at:
                raise RuntimeError("PostgreSQL outlived SIGKILL")
            time.sleep(0.01)
        # Where nobody reaps orphans the dead one would count as running.
        (self._data / "postmaster.pid").unlink()

    @property
    def is_running(self) -> bool:
        return (self._data / "postmaster.pid").exists()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running:
            self.stop("immediate")
        shutil.rmtree(self._directory)

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [self._programs / program, *options, f"--pgdata={self._data}"],
            **self._user,
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            log = self._log.read_text() if self._log.exists() else ""
            raise RuntimeError(f"{program} {options[0]}: {done.stderr}{log[-2000:]}")


class PrivateRedis:
    """A Redis of its own that keeps every write on disk; `with` starts it, and at the end stops and removes it."""

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
        self._process = subprocess.Popen(
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
