"""`dibs prune`: what it removes, what it refuses to, and what it says of it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.face.processes import run, serve


@pytest.fixture
def old(data_dir: Path) -> Path:
    """A data directory with a job that ended 100 days ago and one that ended now."""
    with serve(data_dir) as served, served.client() as client:
        for name in ("Max", "Cody"):
            client.add(name, wait=20)
        assert served.stop() == 0
    with closing(sqlite3.connect(data_dir / "dibs.db")) as database, database:
        made = "strftime('%Y-%m-%d %H:%M:%f000', 'now', '-100 days')"
        database.execute(f"UPDATE receipts SET finished_at = {made} WHERE result LIKE '%Max%'")
    return data_dir


def receipts(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / "dibs.db")) as database:
        return int(database.execute("SELECT count(*) FROM receipts").fetchone()[0])


def test_old_receipts_go_and_it_says_what_that_means(old: Path) -> None:
    asked = run("prune", "--older-than", "90d", "--dry-run", DIBS_DATA_DIR=str(old))
    assert (asked.returncode, asked.stdout) == (0, "1 receipts would be removed\n")
    assert receipts(old) == 2

    done = run("prune", "--older-than", "90d", "--json", DIBS_DATA_DIR=str(old))
    told = json.loads(done.stdout)
    assert (done.returncode, told["meant"], told["removed"], told["complete"]) == (0, 1, 1, True)
    assert "may insert a second row" in done.stderr
    assert receipts(old) == 1


def test_an_age_that_the_queue_may_remember_needs_force(old: Path) -> None:
    refused = run("prune", "--older-than", "30d", DIBS_DATA_DIR=str(old))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "run twice" in " ".join(refused.stderr.replace("│", " ").split())
    assert receipts(old) == 2

    forced = run("prune", "--older-than", "1h", "--status", "succeeded", "--force", DIBS_DATA_DIR=str(old))
    assert (forced.returncode, receipts(old)) == (0, 1)


@pytest.mark.parametrize(
    "wrong", [["90"], ["-1d"], ["0d"], ["soon"], ["1y"], ["90d", "--status", "queued"], ["90d", "--batch", "0"]]
)
def test_what_makes_no_sense_is_misuse(wrong: list[str]) -> None:
    misused = run("prune", "--older-than", *wrong)
    assert (misused.returncode, misused.stdout) == (2, "")
    assert "Traceback" not in misused.stderr


def test_where_nothing_is_there_is_nothing_to_prune(tmp_path: Path) -> None:
    missing = run("prune", "--older-than", "90d", DIBS_DATA_DIR=str(tmp_path / "none"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert not (tmp_path / "none").exists()
    unused = run("prune", "--older-than", "90d", DIBS_DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert unused.returncode == 1
    assert "dibs migrate" in unused.stderr
