"""The tests' own ground: every database and queue that a fixture gives is there, empty and usable."""

from shared.database import Database
from shared.migrate import is_current
from shared.queue import Queue
from tests.build import ANIMALS, HANDLES, make_job, names_of, rows_of


async def test_a_database_is_migrated_and_empty(database: Database) -> None:
    assert await is_current(database.reader)
    assert await names_of(database) == []
    assert await rows_of(database, HANDLES) == []


async def test_a_queue_is_empty_and_takes_jobs(queue: Queue) -> None:
    assert [key async for key in queue.redis.scan_iter()] == []
    await queue.submit("animals", [make_job(ANIMALS, ["Max"])])
    assert await queue.depth() == 1
