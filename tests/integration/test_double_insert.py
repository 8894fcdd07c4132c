"""Insert, commit, die, be delivered again: the naive worker inserts twice, and dibs's does not.

The kit finds it in one test, the same for both: `delivered_twice`.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import Database
from shared.points import Point
from shared.queue import Queue
from shared.testing.points import AnyPoint, Points
from shared.testing.queue import ArqQueue, make_redis
from tests.build import ANIMALS, make_hands, make_job, make_settings
from tests.kit.naive import Sessions, add, names_of
from worker.main import arq_options, functions

pytestmark = pytest.mark.dibs(database=["sqlite", "postgresql"], mode=["engine", "fast"])


async def delivered_twice(
    queue: ArqQueue, points: Points, sessions: Sessions, at: AnyPoint = "after commit"
) -> list[str]:
    """The rows of one add whose worker died after it committed."""
    points.kill(at)
    died, *again = await queue.drain(at_most=2)
    assert died.outcome == "killed"
    assert [ran.outcome for ran in again] == ["done"]
    return await names_of(sessions)


class TestTheNaiveWorker:
    @pytest.fixture
    def dibs_worker_settings(self, dibs_sessions: Sessions) -> Mapping[str, Any]:
        return {"functions": [add], "ctx": {"sessions": dibs_sessions}}

    async def test_it_inserts_twice(self, dibs_queue: ArqQueue, dibs_points: Points, dibs_sessions: Sessions) -> None:
        await dibs_queue.redis.enqueue_job("add", ["Max", "Cody", "Robby"])
        with pytest.raises(AssertionError):
            assert await delivered_twice(dibs_queue, dibs_points, dibs_sessions) == ["Max"]


class TestTheWorkerOfDibs:
    @pytest.fixture
    def batches(self) -> Queue:
        return Queue(make_redis(), "test", limit=10)

    @pytest.fixture
    def dibs_redis(self, batches: Queue) -> Any:
        return batches.redis

    @pytest.fixture
    def dibs_worker_settings(self, dibs_engine: AsyncEngine, batches: Queue) -> Mapping[str, Any]:
        hands = make_hands(Database(dibs_engine, dibs_engine), batches)
        settings = arq_options(make_settings()) | {"functions": functions(), "queue_name": batches.batches}
        return settings | {"ctx": {"hands": hands}}

    async def test_it_inserts_once(
        self, dibs_queue: ArqQueue, dibs_points: Points, dibs_sessions: Sessions, batches: Queue
    ) -> None:
        await batches.submit("animals", [make_job(ANIMALS, ["Max", "Cody", "Robby"])])
        assert await delivered_twice(dibs_queue, dibs_points, dibs_sessions) == ["Max"]
        assert await batches.depth() == 0

    @pytest.mark.parametrize("point", [Point.STARTED, Point.INSERTED, Point.WRITTEN, Point.COMMITTED])
    async def test_wherever_it_dies(
        self, dibs_queue: ArqQueue, dibs_points: Points, dibs_sessions: Sessions, batches: Queue, point: Point
    ) -> None:
        await batches.submit("animals", [make_job(ANIMALS, ["Max", "Cody", "Robby"])])
        assert await delivered_twice(dibs_queue, dibs_points, dibs_sessions, point) == ["Max"]
        assert await batches.depth() == 0
