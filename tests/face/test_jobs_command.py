"""`dibs job --watch`, `dibs jobs`, `dibs retry`, `dibs cancel` and `dibs top` against a real server."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from typer import BadParameter

from dibs import DibsSync, JobSync
from dibs.arguments import read_time
from dibs.client.answers import Minute, Queue, Stats
from dibs.top import Sampler
from shared.contract import Status
from tests.face.processes import PATIENCE_S, Running, clean, data_directory, held_back, python_m_dibs, run, serve


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with data_directory() as path:
        yield path


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Running]:
    with serve(data, DIBS_MODELS="tests.models") as served:
        yield served


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[DibsSync]:
    with running.client() as opened:
        yield opened


def failed(client: DibsSync) -> JobSync:
    """There is no such tenant."""
    return client.add({"handle": uuid4().hex}, to="handles", values={"tenant": "none", "owner": "Ada"}, wait=20)


def test_a_job_is_watched_until_its_outcome(running: Running, data: Path, client: DibsSync) -> None:
    with held_back(data):
        job = client.add(uuid4().hex)
        watched = subprocess.Popen(
            python_m_dibs("job", str(job.id), "--watch", "--json"),
            env=clean({"DIBS_URL": running.url}), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert watched.stdout is not None
        seen = [json.loads(watched.stdout.readline())]
    rest, _ = watched.communicate(timeout=30)
    seen += [json.loads(line) for line in rest.splitlines()]
    assert watched.returncode == 0
    statuses = [one["status"] for one in seen]
    assert statuses[0] in {"queued", "running"}
    assert statuses[-1] == "succeeded"
    assert len(set(statuses)) == len(statuses)


def test_a_wait_that_is_too_short_shows_where_the_job_stands(running: Running, data: Path, client: DibsSync) -> None:
    with held_back(data):
        job = client.add(uuid4().hex)
        short = run("job", str(job.id), "--wait", "0.2", "--json", DIBS_URL=running.url)
    job.outcome(timeout=20)
    assert (short.returncode, short.stderr) == (1, "")
    assert json.loads(short.stdout)["status"] in {"queued", "running"}


def all_have_ended(client: DibsSync) -> None:
    """What other tests have sent again is of the same server, and would end between ours."""
    give_up_at = time.monotonic() + PATIENCE_S
    while client.stats().queue.depth:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_jobs_are_listed_newest_first(running: Running, client: DibsSync) -> None:
    all_have_ended(client)
    jobs = [client.add(uuid4().hex, wait=20) for _ in range(3)]
    listed = run("jobs", "--limit", "3", "--json", DIBS_URL=running.url)
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == [str(job.id) for job in reversed(jobs)]
    bad = failed(client)
    listed = run("jobs", "--status", "failed", "--collection", "handles", "--since", "1h", DIBS_URL=running.url)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.splitlines()[0].endswith(f"job {bad.id}")
    assert "\x1b" not in listed.stdout, "colours are for terminals"
    assert run("jobs", "--since", "2999-01-01", DIBS_URL=running.url).stdout == ""


def test_jobs_read_page_after_page(client: DibsSync) -> None:
    all_have_ended(client)
    wishes = [uuid4().hex for _ in range(150)]
    outcomes = list(client.add_many(wishes))
    found = list(client.jobs(limit=150))
    assert {job.id for job in found} == {outcome.job for outcome in outcomes}
    assert len(list(client.jobs(limit=101))) == 101


def test_a_job_is_sent_again_once(running: Running, client: DibsSync) -> None:
    bad = failed(client)
    first, second = (run("retry", str(bad.id), "--json", DIBS_URL=running.url) for _ in range(2))
    again = json.loads(first.stdout)
    assert (first.returncode, again["links"]["retry_of"]) == (0, f"/jobs/{bad.id}")
    assert json.loads(second.stdout)["id"] == again["id"] == str(bad.retry().id)
    done = client.add(uuid4().hex, wait=20)
    assert run("retry", str(done.id), DIBS_URL=running.url).returncode == 2


def test_all_that_failed_are_sent_again(running: Running, client: DibsSync) -> None:
    since = datetime.now(UTC).isoformat()
    bad = {str(failed(client).id) for _ in range(3)}
    sent = run("retry", "--failed", "--collection", "handles", "--since", since, "--json", DIBS_URL=running.url)
    assert sent.returncode == 0
    repeated = {json.loads(line)["links"]["retry_of"].rpartition("/")[2] for line in sent.stdout.splitlines()}
    assert bad <= repeated
    assert {str(retried.job) for retried in client.retry_all(status=Status.FAILED) if not retried.is_new} >= bad


@pytest.mark.parametrize("arguments", [[], ["--failed", str(uuid4())], [str(uuid4()), "--since", "1h"]])
def test_retry_needs_ids_or_failed(arguments: list[str]) -> None:
    misused = run("retry", *arguments)
    assert (misused.returncode, misused.stdout) == (2, "")


def test_a_cancel_is_exact(running: Running, data: Path, client: DibsSync) -> None:
    done = client.add(uuid4().hex, wait=20)
    late = run("cancel", str(done.id), DIBS_URL=running.url)
    assert (late.returncode, late.stdout.split()[0]) == (1, "succeeded")
    assert late.stderr == f"dibs: {done.id}: too late: the job has succeeded\n"


def test_a_waiting_job_is_cancelled(tmp_path: Path, sqlite_url: str, redis_url: str) -> None:
    servers = {"DIBS_DATABASE_URL": sqlite_url, "DIBS_REDIS_URL": redis_url, "DIBS_QUEUE_NAME": tmp_path.name}
    with Running(tmp_path / "api", "api", **servers) as api, api.client() as nobody_works:
        jobs = [nobody_works.add("Max"), nobody_works.add("Cody")]
        done = run("cancel", *(str(job.id) for job in jobs), "--json", DIBS_URL=api.url)
        assert done.returncode == 0
        assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["cancelled"] * 2
        waiting = nobody_works.add("Robby")
        listed = run("jobs", "--status", "queued", "--json", DIBS_URL=api.url)
        assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == [str(waiting.id)]


def test_top_shows_queue_rates_and_workers(running: Running, client: DibsSync) -> None:
    client.add(uuid4().hex, wait=20)
    all_have_ended(client)
    shown = run("top", DIBS_URL=running.url)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split()[0] for line in shown.stdout.splitlines() if not line.startswith(" ")] == [
        "queue", "rate", "last", "latency", "workers",
    ]  # fmt: skip
    told = json.loads(run("top", "--once", "--json", DIBS_URL=running.url).stdout)
    assert told["queue"]["depth"] == 0
    assert len(told["workers"]) == 1
    assert sum(sum(minute["counts"].values()) for minute in told["minutes"]) > 0
    gone = run("top", "--once", DIBS_URL="http://127.0.0.1:1")
    assert (gone.returncode, gone.stdout, len(gone.stderr.splitlines())) == (1, "", 1)


def test_the_rate_is_of_what_ended_between_two_looks() -> None:
    def stats(*counts: int) -> Stats:
        at = datetime(2026, 1, 1, 12, tzinfo=UTC)
        minutes = [
            Minute(at=at + timedelta(minutes=n), counts={Status.SUCCEEDED: count}, p50_ms=1.0, p99_ms=2.0)
            for n, count in enumerate(counts)
        ]
        return Stats(queue=Queue(depth=0, limit=1, oldest_age_s=None), workers=[], minutes=minutes)

    looks = [(10.0, stats(100, 40)), (12.0, stats(100, 60)), (14.0, stats(100, 60, 10))]
    sampler = Sampler(lambda: looks[0][1], clock=lambda: looks[0][0])
    rates = []
    while looks:
        rates.append(sampler.look().rate)
        looks.pop(0)
    assert rates == [None, 10.0, 5.0]


def test_times() -> None:
    assert read_time("2026-01-31T12:00Z") == read_time("2026-01-31T13:00+01:00") == read_time("2026-01-31T12:00")
    assert datetime.now(UTC) - read_time("2h") - timedelta(hours=2) < timedelta(seconds=5)
    for wrong in ("yesterday", "5", "99999999d", "999999d"):
        with pytest.raises(BadParameter):
            read_time(wrong)


def test_what_talks_to_a_server_loads_nothing_that_runs_one() -> None:
    heavy = ("sqlalchemy", "fastapi", "redis", "arq", "alembic", "uvicorn", "fakeredis")
    code = f"import dibs.command, sys; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize(
    "command", ["add", "job", "jobs", "retry", "cancel", "import", "top", "serve", "api", "worker", "migrate", "doctor"]
)
def test_help_has_an_example(command: str) -> None:
    shown = run(command, "--help")
    assert shown.returncode == 0
    assert "Example: " in shown.stdout
    assert "\x1b" not in shown.stdout


def test_completion_is_offered() -> None:
    # The shell is told from the processes above, or asked for by its name where it is not.
    shown = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_DIBS_COMPLETE=complete_bash" in shown.stdout or "complete_bash" in shown.stdout
