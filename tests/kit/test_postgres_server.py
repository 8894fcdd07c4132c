"""The private cluster: quick to make, and gone with whoever started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.testing.postgres_server import MEMORY, PREFIX, PrivatePostgres, postgres_programs

DIES = """
import os, signal
from shared.testing.postgres_server import PrivatePostgres
server = PrivatePostgres()
server.start()
print(server._directory, (server._data / "postmaster.pid").read_text().split()[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_swept_up_by_the_next() -> None:
    postgres_programs()
    died = subprocess.run([sys.executable, "-c", DIES], stdout=subprocess.PIPE, text=True, check=False)
    assert died.returncode == -signal.SIGKILL
    directory, pid = Path(died.stdout.split()[0]), int(died.stdout.split()[1])
    if directory.parent != MEMORY:
        os.kill(pid, signal.SIGQUIT)
        pytest.skip("there is not enough memory in /dev/shm; what lies on disk is left to whoever tidies it")
    PrivatePostgres().__exit__()
    assert not directory.exists()
    while Path(f"/proc/{pid}").exists():
        pass  # SIGQUIT was sent, and the postmaster is on its way out; pytest's timeout is the bound


def test_what_is_in_use_is_left_alone(postgres_server: PrivatePostgres) -> None:
    PrivatePostgres().__exit__()
    assert postgres_server.is_running


def test_nothing_is_left_of_a_cluster_that_was_stopped() -> None:
    with PrivatePostgres() as server:
        directory = server._directory
        assert directory.name.startswith(PREFIX)
        assert server.is_running
    assert not directory.exists()
