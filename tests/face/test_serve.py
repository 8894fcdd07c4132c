"""`dibs serve` on its embedded defaults: what it was asked for, and every way to end it."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dibs import DibsSync, JobSync, Succeeded
from shared.contract import Status
from tests.face.processes import Running, held_back, names_in, redis_process, run, serve

MANY = [f"animal-{number:02}" for number in range(30)]


def submit_many(client: DibsSync) -> list[JobSync]:
    return [client.add(name) for name in MANY]


def outcomes(client: DibsSync, jobs: list[JobSync]) -> list[object]:
    ended = [client.job(job.id).outcome(timeout=30) for job in jobs]
    return [outcome.row["name"] for outcome in ended if isinstance(outcome, Succeeded)]


@pytest.fixture
def serving(data_dir: Path, path: str) -> Iterator[Running]:
    with serve(data_dir, path=path) as running:
        yield running


def test_four_adds_of_the_first_example(serving: Running) -> None:
    answers = [run("add", "--wait", "--json", DIBS_URL=serving.url) for _ in range(4)]
    jobs = [json.loads(answer.stdout) for answer in answers]
    assert [(job["result"] or {}).get("name") for job in jobs] == ["Max", "Cody", "Robby", None]
    assert [job["status"] for job in jobs] == ["succeeded"] * 3 + ["exhausted"]
    assert [answer.returncode for answer in answers] == [0, 0, 0, 3]
    assert [answer.stderr for answer in answers] == [""] * 4


def test_it_says_on_what_it_runs(data_dir: Path, path: str) -> None:
    with serve(data_dir, path=path) as running:
        queue = f"private redis-server at {data_dir}/redis.sock" if path else "in memory (fakeredis)"
        assert f"queue: {queue}" in running.log.replace("valkey", "redis")
        assert running.stop() == 0
    assert "Traceback" not in running.log


def test_what_was_done_is_there_after_a_restart(data_dir: Path, path: str) -> None:
    with serve(data_dir, path=path) as first, first.client() as client:
        job = client.add("Max", wait=10)
        assert first.stop() == 0
    with serve(data_dir, path=path) as second, second.client() as client:
        assert client.job(job.id).view == job.view


def test_a_stop_finishes_what_is_queued_in_memory(data_dir: Path) -> None:
    with serve(data_dir) as running:
        with running.client() as client, held_back(data_dir):
            submit_many(client)
            running.tell(signal.SIGTERM)
            running.until_log_says("SIGTERM")
            assert names_in(data_dir / "dibs.db") == []
        assert running.ended() == 0
        assert names_in(data_dir / "dibs.db") == MANY
        assert "lost" not in running.log


def test_what_memory_cannot_keep_is_told(data_dir: Path) -> None:
    with serve(data_dir, DIBS_GRACE_S="0.1") as running, running.client() as client:
        with held_back(data_dir):
            submit_many(client)
            running.tell(signal.SIGTERM)
            running.until_log_says("handing back")
        assert running.ended() == 0
        assert f"{len(MANY)} accepted jobs are lost" in running.log


def test_a_second_signal_stops_at_once_and_keeps_the_queue(data_dir: Path, redis_path: str) -> None:
    with (
        serve(data_dir, path=redis_path, DIBS_GRACE_S="300") as running,
        running.client() as client,
        held_back(data_dir),
    ):
        jobs = submit_many(client)
        running.tell(signal.SIGINT)
        running.until_log_says("SIGINT")
        running.tell(signal.SIGINT)
        assert running.ended() == 0
    with serve(data_dir, path=redis_path) as again, again.client() as client:
        assert outcomes(client, jobs) == MANY


def test_a_killed_serve_loses_nothing_that_it_accepted(data_dir: Path, redis_path: str) -> None:
    with serve(data_dir, path=redis_path) as killed, killed.client() as client, held_back(data_dir):
        jobs = submit_many(client)
        killed.kill()
    with serve(data_dir, path=redis_path) as again, again.client() as client:
        assert outcomes(client, jobs) == MANY
        assert "taking over" in again.log


def test_a_power_cut_loses_nothing_either(data_dir: Path, redis_path: str) -> None:
    with serve(data_dir, path=redis_path) as killed, killed.client() as client, held_back(data_dir):
        jobs = submit_many(client)
        redis = redis_process(data_dir)
        killed.kill()
        os.kill(redis, signal.SIGKILL)
    with serve(data_dir, path=redis_path) as again, again.client() as client:
        assert outcomes(client, jobs) == MANY


def test_a_private_redis_that_dies_is_started_again(data_dir: Path, redis_path: str) -> None:
    with serve(data_dir, path=redis_path) as running, running.client() as client:
        with held_back(data_dir):
            jobs = submit_many(client)
            os.kill(redis_process(data_dir), signal.SIGKILL)
            running.until_log_says("is back, with all that was accepted")
        assert outcomes(client, jobs) == MANY
        assert client.add("Max", wait=20).status is Status.SUCCEEDED
        assert running.stop() == 0


def test_no_redis_is_left_behind(data_dir: Path, redis_path: str) -> None:
    with serve(data_dir, path=redis_path) as running:
        redis = redis_process(data_dir)
        assert running.stop() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(redis, 0)


def test_a_redis_that_was_taken_over_is_stopped_too(data_dir: Path, redis_path: str) -> None:
    with serve(data_dir, path=redis_path) as killed:
        redis = redis_process(data_dir)
        killed.kill()
    with serve(data_dir, path=redis_path) as again:
        assert again.stop() == 0
    # Its parent is gone, so it may stay a moment until somebody reaps it.
    give_up_at = time.monotonic() + 10
    while _is_alive(redis):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def _is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def test_the_data_directory_is_for_one_serve_and_one_user(data_dir: Path) -> None:
    inner = data_dir / "made"
    with Running(data_dir / "stderr", "serve", DIBS_DATA_DIR=str(inner)) as first:
        assert inner.stat().st_mode & 0o777 == 0o700
        second = run("serve", DIBS_DATA_DIR=str(inner))
        assert (second.returncode, second.stdout) == (1, "")
        [line] = second.stderr.splitlines()
        assert line.startswith(f"dibs: another `dibs serve` (process {first.process.pid}) works on")
        assert first.stop() == 0


def test_a_port_in_use_is_one_line(data_dir: Path) -> None:
    with serve(data_dir) as running, Running.client(running):
        port = running.url.rpartition(":")[2]
        other = run("serve", DIBS_PORT=port, DIBS_DATA_DIR=str(data_dir / "other"))
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr == f"dibs: port {port} of 127.0.0.1 is in use; set DIBS_PORT to another\n"
