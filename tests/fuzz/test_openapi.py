"""Whatever schemathesis thinks of, on every operation of the OpenAPI, against a real server with a worker behind it.

`DIBS_FUZZ=N` makes N examples of each operation, where a quick run makes a few.
"""

import json
import os
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.face.processes import PATIENCE_S, Running, data_directory, path_with_redis, run, serve
from tests.fuzz.run import Fuzzed, fuzz

EXAMPLES = int(os.environ.get("DIBS_FUZZ", "12"))
LEAST_CASES = 500 if EXAMPLES < 100 else 5000
OPERATIONS = 20
# What is new is found by the long run, not by whoever happens to push next.
IS_RANDOM = EXAMPLES >= 100

SETTINGS = {"DIBS_MODELS": "tests.models", "DIBS_MAX_WAIT_S": "0.2", "DIBS_KEYS_REFRESH_S": "0.2"}

pytestmark = pytest.mark.timeout(120 + 30 * EXAMPLES)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with data_directory() as path:
        yield path


@pytest.fixture
def running(data_dir: Path) -> Iterator[Running]:
    with serve(data_dir, path=path_with_redis(), **SETTINGS) as served:
        yield served


def schema_of(running: Running, directory: Path) -> Path:
    """The server's OpenAPI as a file, asked for while it is still open."""
    path = directory / "openapi.json"
    path.write_bytes(httpx.get(f"{running.url}/openapi.json").content)
    return path


def until_closed(running: Running) -> None:
    """Return when the server has read that there is a key."""
    give_up_at = time.monotonic() + PATIENCE_S
    while httpx.get(f"{running.url}/collections").status_code != HTTPStatus.UNAUTHORIZED:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def check(found: Fuzzed, running: Running, least_cases: int) -> None:
    assert found.exit_code == 0, f"{found.said}\n{running.log[-3000:]}"
    assert found.operations >= OPERATIONS
    assert found.cases >= least_cases
    assert "Traceback" not in running.log
    print(f"{found.cases} cases on {found.operations} operations")  # noqa: T201  # pytest -s shows it


def test_every_operation_keeps_to_its_openapi_whatever_comes(running: Running, tmp_path: Path) -> None:
    schema = schema_of(running, tmp_path)
    told = json.loads(schema.read_bytes())
    # Until a key is made, whoever is on this machine may do anything: nothing that is said of keys holds yet.
    for operation in (operation for path in told["paths"].values() for operation in path.values()):
        del operation["security"]
    schema.write_text(json.dumps(told))
    found = fuzz(running.url, tmp_path, schema=schema, examples=EXAMPLES, is_random=IS_RANDOM)
    check(found, running, LEAST_CASES)


def test_with_a_key_the_same_holds_and_what_is_said_of_keys_too(
    running: Running, data_dir: Path, tmp_path: Path
) -> None:
    schema = schema_of(running, tmp_path)
    made = run("keys", "create", "fuzz", "--scope", "admin", "--json", DIBS_DATA_DIR=str(data_dir))
    key = json.loads(made.stdout)["key"]
    found = fuzz(running.url, tmp_path, schema=schema, key=key, examples=max(1, EXAMPLES // 4), is_random=IS_RANDOM)
    check(found, running, LEAST_CASES // 4)


def test_without_a_key_nothing_is_answered_that_needs_one(running: Running, data_dir: Path, tmp_path: Path) -> None:
    schema = schema_of(running, tmp_path)
    assert run("keys", "create", "fuzz", DIBS_DATA_DIR=str(data_dir)).returncode == 0
    until_closed(running)
    found = fuzz(
        running.url,
        tmp_path,
        schema=schema,
        examples=max(1, EXAMPLES // 4),
        is_random=IS_RANDOM,
        phases="examples,coverage,fuzzing",
        # Nobody without a key is told which methods an address has: that is a 401, too.
        without=("unsupported_method",),
        expected_statuses=(400, 401),
    )
    check(found, running, LEAST_CASES // 8)


def test_a_server_that_breaks_its_word_is_found_out(running: Running, tmp_path: Path) -> None:
    """The harness itself: an expectation that does not hold fails the run."""
    headers = {"X-Any": "thing"}
    found = fuzz(running.url, tmp_path, examples=1, phases="examples", headers=headers, expected_statuses=(401, 403))
    assert found.exit_code != 0
    assert "is none of 401,403" in found.said
