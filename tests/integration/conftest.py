"""What the tests of the worker start from."""

from collections.abc import AsyncIterator

import pytest

from shared.database import Database
from shared.queue import Queue
from tests.build import make_hands
from tests.integration.working import opened
from worker.hands import Hands


@pytest.fixture
async def hands(database: Database, fake_queue: Queue) -> AsyncIterator[Hands]:
    """A worker's hands on each database in turn, and fakeredis."""
    made = make_hands(database, fake_queue)
    yield made
    await made.outage.close()


@pytest.fixture
async def caller(postgresql_url: str, redis_url: str) -> AsyncIterator[tuple[Database, Queue]]:
    """Whoever submits and looks, with clients of its own."""
    async with opened(postgresql_url, redis_url) as clients:
        yield clients
