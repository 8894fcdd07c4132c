"""dibs as it is run: its processes, on a PostgreSQL and a Redis of their own or embedded, from a caller's side.

This much is in every run of the tests. Each promise in detail is in tests/face and tests/faults, which are slow.
"""

import json
from pathlib import Path

import pytest

from dibs import Dibs, Exhausted, Succeeded
from shared.database import Database
from tests.build import names_of
from tests.face.processes import Running, data_directory, path_with_redis, run, serve
from tests.waiting import held_name, until_blocked

NAMES = [f"animal-{number:02}" for number in range(30)]


@pytest.mark.postgresql
async def test_a_worker_is_killed_at_work_and_what_was_accepted_is_done_once(
    tmp_path: Path, postgresql_url: str, postgresql_database: Database, redis_url: str
) -> None:
    servers = {
        "DIBS_DATABASE_URL": postgresql_url,
        "DIBS_REDIS_URL": redis_url,
        "DIBS_QUEUE_NAME": tmp_path.name,
        "DIBS_LEASE_S": "1",
    }
    with (
        Running(tmp_path / "api", "api", **servers) as api,
        Running(tmp_path / "first", "worker", **servers) as first,
    ):
        async with Dibs(api.url) as dibs:
            async with held_name(postgresql_database, NAMES[0]):
                jobs = [await dibs.add(name, idempotency_key=name) for name in NAMES]
                await until_blocked(postgresql_database)
                first.kill()
            again = [await dibs.add(name, idempotency_key=name) for name in NAMES]
            assert [job.id for job in again] == [job.id for job in jobs]
            with Running(tmp_path / "second", "worker", **servers) as second:
                outcomes = [await job.outcome(timeout=20) for job in jobs]
                assert [o.row["name"] for o in outcomes if isinstance(o, Succeeded)] == NAMES
                assert isinstance(await (await dibs.add(*NAMES)).outcome(timeout=20), Exhausted)
                assert second.stop() == 0
        assert api.stop() == 0
    assert await names_of(postgresql_database) == NAMES
    assert "Traceback" not in api.log + second.log


def test_the_first_example_from_the_shell() -> None:
    with data_directory() as data_dir, serve(data_dir, path=path_with_redis()) as running:
        answers = [run("add", "Max", "Cody", "--wait", "--json", DIBS_URL=running.url) for _ in range(3)]
        jobs = [json.loads(answer.stdout) for answer in answers]
        assert [(job["result"] or {}).get("name") for job in jobs] == ["Max", "Cody", None]
        assert [answer.returncode for answer in answers] == [0, 0, 3]
        assert running.stop() == 0
        assert "Traceback" not in running.log
