"""`dibs add` and `dibs job`: what they say, and the exit code that says the same."""

import json
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from dibs.arguments import read_candidates, read_values, spell_out_wait
from tests.face.processes import Running, data_directory, run, serve

NOBODY = "http://127.0.0.1:1"

MISUSED = [
    ["add", "--bogus"],
    ["add", "--to", "handles"],
    ["add", "--value", "owner=Ada"],
    ["add", "Max", "--value", "owner"],
    ["add", "Max", "--url", "not a url"],
    ["add", "Max", "--key", "Schlüssel"],
    ["add", "Max", "--wait=soon"],
    ["add", '{"name": '],
    ["job", "no-uuid"],
    ["dance"],
]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with data_directory() as data_dir, serve(data_dir, DIBS_MODELS="tests.models") as served:
        yield served


@pytest.mark.parametrize("arguments", MISUSED, ids=" ".join)
def test_misuse_is_told_as_such(arguments: list[str]) -> None:
    misused = run(*arguments, DIBS_URL=NOBODY)
    assert (misused.returncode, misused.stdout) == (2, "")
    assert "Traceback" not in misused.stderr


def test_nobody_there_is_one_line() -> None:
    alone = run("add", "Max", DIBS_URL=NOBODY)
    assert (alone.returncode, alone.stdout) == (1, "")
    [line] = alone.stderr.splitlines()
    assert line.startswith(f"dibs: {NOBODY} cannot be reached")


def test_an_add_is_accepted_and_then_asked_for(running: Running) -> None:
    accepted = run("add", "Bella", "--json", DIBS_URL=running.url)
    job = json.loads(accepted.stdout)
    assert accepted.returncode == 0
    ended = run("job", job["id"], "--wait", DIBS_URL=running.url)
    assert ended.returncode == 0
    assert ended.stdout.startswith('succeeded animals {"id": ')
    assert job["id"] in ended.stdout


def test_the_same_key_is_the_same_job(running: Running) -> None:
    first, again = (run("add", "Luna", "--wait", "--json", "--key", 'a "key"', DIBS_URL=running.url) for _ in range(2))
    assert json.loads(first.stdout) == json.loads(again.stdout)
    other = run("add", "Milo", "--key", 'a "key"', DIBS_URL=running.url)
    assert other.returncode == 2
    assert "another add" in other.stderr


def test_rows_values_and_a_refusal_by_the_database(running: Running) -> None:
    # There is no such tenant, which only the database knows.
    row = json.dumps({"handle": "ada"})
    refused = run(
        "add", row, "--to", "handles", "--value", "tenant=acme", "--value", "owner=Ada", "--wait", DIBS_URL=running.url
    )
    assert refused.returncode == 1
    assert refused.stdout.startswith("failed handles: The database refused the row")


def test_each_wrong_place_is_pointed_at(running: Running) -> None:
    wrong = run("add", '{"handle": 5}', "--to", "handles", "--value", "tenant=acme", DIBS_URL=running.url)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "dibs: /candidates/0/handle: " in wrong.stderr


def test_an_unknown_job_and_an_unknown_collection(running: Running) -> None:
    assert run("job", str(uuid4()), DIBS_URL=running.url).returncode == 2
    assert run("add", "x", "--to", "nothing", DIBS_URL=running.url).returncode == 2


@pytest.mark.parametrize(
    ("args", "spelt"),
    [
        (["Max", "--wait"], ["Max", "--wait=30.0"]),
        (["--wait", "Max"], ["--wait=30.0", "Max"]),
        (["--wait", "5", "Max"], ["--wait=5", "Max"]),
        (["--wait", "Nan"], ["--wait=30.0", "Nan"]),
        (["--wait=2.5"], ["--wait=2.5"]),
        (["--", "--wait", "5"], ["--", "--wait", "5"]),
    ],
)
def test_wait_takes_seconds_or_none(args: list[str], spelt: list[str]) -> None:
    assert spell_out_wait(args) == spelt


def test_candidates_and_values() -> None:
    assert read_candidates([]) == []
    assert read_candidates(["5", '{"a": 5}']) == ["5", {"a": 5}]
    assert read_values(["a=5", "b=x=y", "c=true", 'd="5"', "e=[1]", "f="]) == {
        "a": 5, "b": "x=y", "c": True, "d": "5", "e": "[1]", "f": "",
    }  # fmt: skip


def test_what_talks_to_nobody_loads_no_client() -> None:
    loaded = "import sys, dibs.command, dibs.serve; print('httpx' in sys.modules, 'fakeredis' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    assert said == "False False\n"
