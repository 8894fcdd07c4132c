"""Who may stand between dibs and its servers: pgbouncer before PostgreSQL, sentinels beside Redis."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.services import free_port, missing, postgres_user, redis_program

NO_PGBOUNCER = "no pgbouncer found: apt-get install pgbouncer, or put pgbouncer on PATH"
START_TIMEOUT_S = 20

PGBOUNCER_INI = """
[databases]
* = host=127.0.0.1 port={postgres_port} user=dibs

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
"""

SENTINEL_CONF = """
port {port}
bind 127.0.0.1
dir {directory}
sentinel monitor dibs 127.0.0.1 {master_port} 1
sentinel down-after-milliseconds dibs 500
sentinel failover-timeout dibs 2000
"""


@contextmanager
def pgbouncer(postgres_port: int, *, connections: int) -> Iterator[int]:
    """The port of a pgbouncer that gives each transaction one of `connections` to the cluster at `postgres_port`."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") or missing(NO_PGBOUNCER)
    port = free_port()
    with _directory() as directory:
        ini = directory / "pgbouncer.ini"
        ini.write_text(PGBOUNCER_INI.format(postgres_port=postgres_port, port=port, connections=connections))
        with _process([program, "--quiet", str(ini)], directory / "log", **postgres_user()):
            _until_open(port)
            yield port


@contextmanager
def sentinel(master_port: int) -> Iterator[int]:
    """The port of a sentinel that calls the Redis at `master_port` "dibs", and has found a replica of it."""
    port = free_port()
    with _directory() as directory:
        conf = directory / "sentinel.conf"
        conf.write_text(SENTINEL_CONF.format(port=port, directory=directory, master_port=master_port))
        with _process([redis_program(), str(conf), "--sentinel"], directory / "log"):
            _until_open(port)
            with Redis(port=port) as asked:
                _until(lambda: bool(asked.sentinel_slaves("dibs")))
            yield port


def has_replica(master_port: int) -> None:
    """Return when a replica of the Redis at `master_port` has all that it has."""
    with Redis(port=master_port) as master:
        _until(lambda: master.wait(1, 1000) == 1)


@contextmanager
def _directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="dibs-between-"))
    path.chmod(0o777)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def _process(command: list[str], log: Path, **options: object) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent, **options)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _until_open(port: int) -> None:
    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    _until(is_open)


def _until(holds: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            if holds():
                return
        except RedisError:
            pass
        if time.monotonic() > give_up_at:
            raise TimeoutError
        time.sleep(0.02)
