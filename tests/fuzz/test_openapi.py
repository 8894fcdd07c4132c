"""Whatever schemathesis thinks of, on every operation of the OpenAPI, against a real server with a worker behind it.

`DIBS_FUZZ=N` makes N examples of each operation, where a quick run makes a few.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.face.processes import Running, data_directory, path_with_redis, serve
from tests.fuzz.run import fuzz

EXAMPLES = int(os.environ.get("DIBS_FUZZ", "25"))
LEAST_CASES = 400 if EXAMPLES < 100 else 5000


@pytest.fixture
def running() -> Iterator[Running]:
    settings = {"DIBS_MODELS": "tests.models", "DIBS_MAX_WAIT_S": "0.2"}
    with data_directory() as data_dir, serve(data_dir, path=path_with_redis(), **settings) as served:
        yield served


@pytest.mark.timeout(60 + 20 * EXAMPLES)
def test_every_operation_keeps_to_its_openapi_whatever_comes(running: Running, tmp_path: Path) -> None:
    found = fuzz(running.url, tmp_path, examples=EXAMPLES, timeout_s=60 + 20 * EXAMPLES)

    assert found.exit_code == 0, f"{found.said}\n{running.log[-3000:]}"
    assert found.operations >= 12
    assert found.cases >= LEAST_CASES
    assert "Traceback" not in running.log
    print(f"{found.cases} cases on {found.operations} operations")  # noqa: T201  # pytest -s shows it


def test_a_server_that_breaks_its_word_is_found_out(running: Running, tmp_path: Path) -> None:
    """The harness itself: an expectation that does not hold fails the run."""
    found = fuzz(
        running.url, tmp_path, examples=1, phases="examples", headers={"X-Any": "thing"}, expected_statuses=(401, 403)
    )
    assert found.exit_code != 0
    assert "is none of 401,403" in found.said
