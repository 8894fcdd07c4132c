"""`dibs api`, `dibs worker` and `dibs migrate` on servers that somebody else runs."""

from pathlib import Path

import httpx
import pytest

from dibs import Succeeded
from tests.face.processes import Running, data_directory, run

WRONG = [
    ({"DIBS_DATABASE_URL": "mysql://ada:secret@db/dibs"}, "DIBS_DATABASE_URL: must begin with"),
    ({"DIBS_PORT": "http"}, "DIBS_PORT: "),
    ({"DIBS_REDIS_URL": "localhost"}, "DIBS_REDIS_URL: must begin with"),
    ({"DIBS_MODELS": "no_such_module"}, "DIBS_MODELS: no_such_module cannot be imported"),
]


@pytest.mark.parametrize(("environment", "told"), WRONG)
def test_a_wrong_setting_is_one_line(environment: dict[str, str], told: str) -> None:
    wrong = run("serve", **environment)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    [line] = wrong.stderr.splitlines()
    assert line.startswith(f"dibs: {told}")
    assert "secret" not in line


@pytest.mark.parametrize("command", ["api", "worker"])
def test_api_and_worker_need_their_servers(command: str) -> None:
    without = run(command)
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr.startswith("dibs: DIBS_DATABASE_URL is not set")


def test_a_database_without_the_schema_is_migrated_by_hand(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dibs.db'}"
    before = run("serve", DIBS_DATABASE_URL=url, DIBS_DATA_DIR=str(tmp_path))
    assert before.returncode == 1
    assert before.stderr.endswith("lacks tables or columns that this dibs needs: run `dibs migrate` first\n")
    first, second = (run("migrate", DIBS_DATABASE_URL=url, DIBS_MODELS="tests.models") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0)
    assert "created animals, api_keys, dibs_alembic_version, handles, receipts, tenants" in first.stdout
    assert second.stdout.endswith(", as it was\n")
    with Running(tmp_path / "log", "serve", DIBS_DATABASE_URL=url, DIBS_DATA_DIR=str(tmp_path)) as running:
        assert running.stop() == 0


def test_migrate_makes_the_embedded_database(tmp_path: Path) -> None:
    made = run("migrate", DIBS_DATA_DIR=str(tmp_path / "data"))
    assert made.returncode == 0
    assert (tmp_path / "data" / "dibs.db").exists()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_database_that_cannot_be_reached_ends_migrate_and_nothing_else() -> None:
    url = "postgresql://ada:secret@127.0.0.1:1/dibs"
    migrated = run("migrate", DIBS_DATABASE_URL=url)
    assert migrated.returncode == 1
    [line] = migrated.stderr.splitlines()
    assert line.startswith("dibs: postgresql://127.0.0.1:1/dibs cannot be migrated")
    here = {"DIBS_DATABASE_URL": url, "DIBS_HOST": "0.0.0.0"}
    with (
        data_directory() as data_dir,
        Running(data_dir / "log", "serve", **here, DIBS_DATA_DIR=str(data_dir)) as running,
        httpx.Client(base_url=running.url.replace("0.0.0.0", "127.0.0.1")) as client,
    ):
        # There may be keys, which nobody can read: it runs, wherever it listens, and lets nobody in.
        answer = client.post("/add")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/keys-unread")
        assert client.get("/health/live").status_code == 200
        assert "does not answer" in running.log
        assert "the API keys cannot be read" in running.log
        assert "secret" not in running.log


def test_api_and_worker_apart(tmp_path: Path, sqlite_url: str, redis_url: str) -> None:
    servers = {"DIBS_DATABASE_URL": sqlite_url, "DIBS_REDIS_URL": redis_url, "DIBS_QUEUE_NAME": tmp_path.name}
    with Running(tmp_path / "api", "api", **servers) as api, api.client() as client:
        job = client.add("Max", "Cody")
        with Running(tmp_path / "worker", "worker", **servers) as worker:
            outcome = job.outcome(timeout=20)
            assert isinstance(outcome, Succeeded)
            assert outcome.row["name"] == "Max"
            assert worker.stop() == 0
        assert api.stop() == 0
    assert "Traceback" not in api.log + worker.log
