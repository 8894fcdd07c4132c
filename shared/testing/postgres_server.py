"""A PostgreSQL as a test starts it: on data of its own, stopped and removed with whoever asked."""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from shared.testing.family import children_of, is_alive
from shared.testing.missing import missing
from shared.testing.ports import free_port

NO_POSTGRES = "no PostgreSQL server programs found: apt-get install postgresql, or put initdb and pg_ctl on PATH"

START_TIMEOUT_S = 30

MEMORY = Path("/dev/shm")  # noqa: S108  # a directory of our own is made in it, as in any place for temporary files
"""To copy a database is to write some 300 files: 20 ms here, and 150 ms on a disk."""
ENOUGH_MEMORY_BYTES = 1 << 30
"""Containers often have 64 MB there, which a few databases fill."""

PREFIX = "dibs-postgres-"
OWNER = "owner"

INITDB = ("--username=dibs", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
SMALL = ("--wal-segsize=1",)

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


def postgres_programs() -> Path:
    """The directory of initdb and pg_ctl."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("pg_ctl"):
        return Path(on_path).resolve().parent
    packaged = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not packaged:
        missing(NO_POSTGRES)
    return max(packaged, key=lambda p: float(p.parent.name))


def postgres_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: somebody else, as arguments of subprocess."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names.get("nobody")
    if entry is None:
        missing("PostgreSQL does not run as root, and there is no user postgres or nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _place() -> str | None:
    """Where a cluster is made; None is the place for temporary files."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_MEMORY_BYTES:
        return str(MEMORY)
    return None


def _own(directory: Path) -> int:
    """Mark `directory` as ours for as long as this process lives: a lock goes with its process, however that dies."""
    owner = os.open(directory / "unlocked", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    # It gets its name once it is locked: whoever sweeps at this moment must not find it free.
    (directory / "unlocked").rename(directory / OWNER)
    return owner


def _sweep() -> None:
    """Stop and remove what killed runs left behind, which would otherwise fill the memory."""
    for directory in MEMORY.glob(f"{PREFIX}*"):
        try:
            owner = os.open(directory / OWNER, os.O_RDWR)
        except OSError:
            continue  # somebody else's, or not marked yet
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _remove(directory)
        finally:
            os.close(owner)


def _remove(directory: Path) -> None:
    with suppress(OSError, ValueError, IndexError):
        os.kill(int((directory / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
    shutil.rmtree(directory, ignore_errors=True)


class PrivatePostgres:
    """A cluster of its own, made on the first start; `with` starts it, and at the end stops and removes it.

    Its data is in memory where there is enough of it, a copy of what initdb made once for this user; with
    `on_disk` it is on disk and initdb's own.
    """

    def __init__(self, *, on_disk: bool = False) -> None:
        self._programs = postgres_programs()
        self._user = postgres_user()
        self._on_disk = on_disk
        _sweep()
        self._directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=None if on_disk else _place()))
        self._owner = _own(self._directory)
        self._data = self._directory / "data"
        self._log = self._directory / "log"
        self.port = free_port()
        self._give_away(self._directory)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+asyncpg://dibs@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        if not self._data.exists():
            self._make()
            with (self._data / "postgresql.conf").open("a") as conf:
                conf.write(POSTGRES_CONF.format(port=self.port))
        self._run("pg_ctl", "start", "--wait", f"--timeout={START_TIMEOUT_S}", f"--log={self._log}")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """`fast` ends sessions in order, `immediate` is a crash."""
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}")

    @property
    def owner(self) -> int:
        """The user that the server runs as."""
        return int(self._user.get("user", os.geteuid()))

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        for process in self._family():
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in self._family():
            os.kill(process, signal.SIGCONT)

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

    def _family(self) -> list[int]:
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        return [server, *children_of(server)]

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
        os.close(self._owner)

    def _make(self) -> None:
        if self._on_disk:
            self._run("initdb", *INITDB)
            return
        kept = self._kept()
        if kept is None:
            self._run("initdb", *INITDB, *SMALL)
            return
        with (kept / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (kept / "data").exists():
                self._run("initdb", *INITDB, *SMALL)
                shutil.rmtree(kept / "making", ignore_errors=True)  # of a run that was killed in the middle
                shutil.copytree(self._data, kept / "making")
                (kept / "making").rename(kept / "data")
                return
        shutil.copytree(kept / "data", self._data)
        self._give_away(self._data)
        for path in self._data.rglob("*"):
            self._give_away(path)

    def _kept(self) -> Path | None:
        """Where initdb's work is kept between runs; None where somebody else made the directory before us."""
        made_by = f"{self._programs}{(self._programs / 'postgres').stat().st_mtime_ns}{INITDB}{SMALL}"
        name = f"dibs-initdb-{os.geteuid()}-{hashlib.sha256(made_by.encode()).hexdigest()[:16]}"
        kept = Path(tempfile.gettempdir()) / name
        kept.mkdir(mode=0o700, exist_ok=True)
        found = kept.lstat()
        return kept if kept.is_dir() and not kept.is_symlink() and found.st_uid == os.geteuid() else None

    def _give_away(self, path: Path) -> None:
        if self._user:
            os.chown(path, self._user["user"], self._user["group"])

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(  # noqa: S603  # a program that was looked up, on arguments of our own
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
