"""What the tests of real processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.face.processes import data_directory, path_with_redis


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with data_directory() as path:
        yield path


@pytest.fixture
def redis_path() -> str:
    """A PATH with a redis-server on it."""
    return path_with_redis()


@pytest.fixture(params=["in memory", "private redis"])
def path(request: pytest.FixtureRequest) -> str:
    """Both embedded queues in turn, as the PATH that leads to them."""
    return "" if request.param == "in memory" else str(request.getfixturevalue("redis_path"))
