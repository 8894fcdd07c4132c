"""What those who watch are shown."""

from shared.database import Database
from shared.queue import Queue
from tests.build import names_of
from tests.serving import WAIT, drained, serving, working


async def test_an_idle_server(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue) as client:
        stats = (await client.get("/stats")).json()
    assert stats["queue"] == {"depth": 0, "limit": fake_queue.limit, "oldest_age_s": None}
    assert stats["workers"] == []
    assert [minute["counts"] for minute in stats["minutes"]] == [{}] * 60


async def test_what_waits_and_what_ended_is_counted(database: Database, queue: Queue) -> None:
    async with serving(database, queue) as client:
        await client.post("/add")
        waiting = (await client.get("/stats")).json()
        assert waiting["queue"]["depth"] == 1
        assert waiting["queue"]["oldest_age_s"] >= 0
        cancelled = (await client.post("/add")).json()
        await client.delete(cancelled["links"]["self"])
        async with working(database, queue):
            for _ in range(3):
                await client.post("/add", headers=WAIT)
            await drained(queue)
            stats = (await client.get("/stats")).json()
    assert await names_of(database) == ["Cody", "Max", "Robby"]
    counts: dict[str, int] = {}
    for minute in stats["minutes"]:
        for status, count in minute["counts"].items():
            counts[status] = counts.get(status, 0) + count
    assert counts == {"succeeded": 3, "exhausted": 1, "cancelled": 1}
    [last] = [minute for minute in stats["minutes"] if minute["counts"]][-1:]
    assert 0 < last["p50_ms"] <= last["p99_ms"]
