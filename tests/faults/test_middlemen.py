"""dibs behind pgbouncer, and with a Redis that a sentinel replaces: the same promises."""

import asyncio

import pytest

from shared.contract import Job, Status
from shared.database import Database, open_database
from shared.queue import Queue, QueueFull
from shared.redis import REDIS_FAULTS, open_redis
from tests.build import ANIMALS, make_job, make_wishes, names_of, receipts_of
from tests.faults.middlemen import has_replica, pgbouncer, sentinel
from tests.services import PrivatePostgres, PrivateRedis
from tests.serving import WAIT, serving, working
from tests.waiting import until
from worker.claim import claim

WORKERS = 8
ROUNDS = 20


@pytest.mark.postgresql
async def test_claims_behind_pgbouncer(postgres_server: PrivatePostgres, postgresql_url: str) -> None:
    """Many more sessions than connections, so that the statements of one meet what another left behind."""
    name = postgresql_url.rpartition("/")[2]
    with pgbouncer(postgres_server.port, connections=2) as port:
        database = open_database(f"postgresql+asyncpg://dibs@127.0.0.1:{port}/{name}?pooler=transaction")
        try:
            jobs = [
                [make_job(ANIMALS, [f"a{n}", f"b{n}", f"w{worker}-{n}"]) for n in range(ROUNDS)]
                for worker in range(WORKERS)
            ]

            async def work(worker: int) -> None:
                for job in jobs[worker]:
                    await claim(database.writes, ANIMALS, make_wishes(ANIMALS, [job]), tries=1)

            await asyncio.gather(*map(work, range(WORKERS)))

            receipts = await receipts_of(database, [job for of_worker in jobs for job in of_worker])
            assert [receipt.status for receipt in receipts.values()] == [Status.SUCCEEDED] * (WORKERS * ROUNDS)
            assert sorted(r.result["name"] for r in receipts.values() if r.result) == await names_of(database)
        finally:
            await database.close()


@pytest.mark.postgresql
async def test_a_lock_is_waited_for_no_longer_behind_pgbouncer(
    postgres_server: PrivatePostgres, postgresql_url: str
) -> None:
    name = postgresql_url.rpartition("/")[2]
    with pgbouncer(postgres_server.port, connections=2) as port:
        database = open_database(f"postgresql+asyncpg://dibs@127.0.0.1:{port}/{name}?pooler=transaction")
        try:
            async with database.writer.connect() as connection:
                shown = await connection.exec_driver_sql("SHOW lock_timeout")
                assert shown.scalar_one() == "2s"
        finally:
            await database.close()


async def test_a_sentinel_names_another_redis(sqlite_database: Database) -> None:
    with PrivateRedis() as first, PrivateRedis("--replicaof", "127.0.0.1", str(first.port)) as _second:
        has_replica(first.port)
        with sentinel(first.port) as port:
            redis = open_redis(f"sentinel://127.0.0.1:{port}/dibs")
            queue = Queue(redis, "test", limit=100)
            try:
                async with serving(sqlite_database, queue) as client, working(sqlite_database, queue):
                    before = await client.post("/add", headers=WAIT)
                    assert before.json()["result"]["name"] == "Max"
                    waits = make_job(ANIMALS, ["Rex"])
                    has_replica(first.port)

                    first.kill()
                    await until(lambda: takes(queue, waits), patience_s=30)

                    after = await client.post("/add", headers=WAIT)
                    assert after.json()["result"]["name"] == "Cody"
                    await until(lambda: has_receipt(sqlite_database, waits))
            finally:
                await redis.aclose(close_connection_pool=True)


async def takes(queue: Queue, job: Job) -> bool:
    try:
        await queue.submit("animals", [job])
    except (*REDIS_FAULTS, QueueFull):
        return False
    return True


async def has_receipt(database: Database, job: Job) -> bool:
    return bool(await receipts_of(database, [job]))
