"""A database whose disk is full takes nothing and answers everything: jobs wait for it, and pay nothing."""

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ask
from tests.face.processes import Running
from tests.faults.conftest import StartDibs
from tests.faults.hooked import PAGES
from tests.services import PrivatePostgres
from tests.serving import ended
from tests.waiting import until

TABLES = ("animals", "receipts")
SIZE_MB = 4
CANDIDATES = 1000
"""So much content that a few jobs fill what is left of the disk."""


@contextlib.contextmanager
def small_disk(owner: int) -> Iterator[Path]:
    """A file system of a few megabytes; skips the test where none can be mounted."""
    path = Path(tempfile.mkdtemp(prefix="dibs-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,uid={owner},mode=700", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            pytest.skip("a full disk needs a small one, and nobody but root, with CAP_SYS_ADMIN, may mount one")
        try:
            yield path
        finally:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
    finally:
        path.rmdir()


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), (path / "ballast").open("wb") as ballast:
        while True:
            ballast.write(bytes(4096))
            ballast.flush()


@pytest.mark.postgresql
async def test_jobs_wait_until_there_is_room_again(
    own_postgres: PrivatePostgres, redis_url: str, start_dibs: StartDibs, http: httpx.AsyncClient
) -> None:
    with small_disk(own_postgres.owner) as disk:
        await ask(own_postgres.url(), f"CREATE TABLESPACE small LOCATION '{disk}'")
        for table in TABLES:
            await ask(own_postgres.url(), f"ALTER TABLE {table} SET TABLESPACE small")
        api = start_dibs("api", own_postgres.url(), redis_url, DIBS_QUEUE_NAME="full")
        worker = start_dibs("worker", own_postgres.url(), redis_url, DIBS_QUEUE_NAME="full")
        http.base_url = httpx.URL(api.url)
        fill(disk)
        jobs = [await submitted(http, number) for number in range(20)]
        await until(lambda: says(worker, "the database is away (53100: "))
        # Long enough for a worker that tries again and again to have told it again and again.
        await asyncio.sleep(3)
        (disk / "ballast").unlink()

        done = [await ended(http, job) for job in jobs]

        assert [(job["status"], job["tries"]) for job in done] == [("succeeded", 1)] * len(jobs)
        assert (worker.process.poll(), api.process.poll()) == (None, None)
        assert [worker.log.count(f"the database is {how}") for how in ("away", "back")] == [1, 1]
        assert worker.stop() == 0
        own_postgres.stop("immediate")


@pytest.mark.sqlite
async def test_an_embedded_database_that_may_not_grow_is_waited_for_too(
    data_path: Path, http: httpx.AsyncClient
) -> None:
    """The limit of the file stands for the end of the disk: SQLite says SQLITE_FULL to both."""
    limit = data_path / "pages"
    say(limit, "100000")
    environment = {"DIBS_DATA_DIR": str(data_path), "DIBS_MODELS": "tests.faults.hooked", PAGES: str(limit)}
    with Running(data_path / "log", "serve", **environment) as running:
        http.base_url = httpx.URL(running.url)
        assert (await http.post("/add", headers={"Prefer": "wait=10"})).json()["status"] == "succeeded"
        say(limit, "1")
        jobs = [await submitted(http, number) for number in range(20)]
        await until(lambda: says(running, "the database is away (SQLITE_FULL: "))
        say(limit, "100000")
        done = [await ended(http, job) for job in jobs]
        assert [(job["status"], job["tries"]) for job in done] == [("succeeded", 1)] * len(jobs)
        assert running.stop() == 0


@pytest.fixture
def data_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dibs-full-") as path:
        yield Path(path)


def say(limit: Path, pages: str) -> None:
    """All at once: who reads the file while it is written would find nothing in it, which is another fault."""
    written = limit.with_suffix(".new")
    written.write_text(pages)
    written.replace(limit)


async def submitted(http: httpx.AsyncClient, number: int) -> dict[str, object]:
    names = [f"{number} {place} {'x' * 200}" for place in range(CANDIDATES)]
    answer = await http.post("/add", json={"candidates": names})
    assert answer.status_code == 202
    job: dict[str, object] = answer.json()
    return job


async def says(process: Running, text: str) -> bool:
    return text in process.log
