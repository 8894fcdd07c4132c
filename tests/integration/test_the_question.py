"""The question that dibs grew from, as literally as a queue allows.

A route tried Max, Cody, Robby until an insert no longer broke the unique constraint. Under pytest the rollback
closed the transaction that a fixture had opened around the test, and the second insert could not run. Here the
insert runs in a worker, in a session of its own, so no fixture has anything to close.
"""

from shared.database import Database
from shared.queue import Queue
from tests.build import names_of
from tests.serving import WAIT, serving, working


async def test_the_first_add_gives_max_and_the_second_gives_cody(database: Database, fake_queue: Queue) -> None:
    async with serving(database, fake_queue) as client, working(database, fake_queue):
        first = await client.post("/add", headers=WAIT)
        second = await client.post("/add", headers=WAIT)
    assert first.json()["result"]["name"] == "Max"
    assert second.json()["result"]["name"] == "Cody"
    assert await names_of(database) == ["Cody", "Max"]
