"""The benchmarks run, and they fail where an add is lost or doubled."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from redis.asyncio import Redis

from shared.clock import utc_now
from shared.ids import new_id
from tests.benchmarks.processes import ROOT
from tests.benchmarks.servers import plain
from tests.benchmarks.stage import LostOrDoubled, Stage
from tests.services import postgres_programs, redis_program

RECEIPT = """
INSERT INTO receipts (id, collection, status, fingerprint, choice, tries, submitted_at, finished_at)
VALUES ($1, 'animals', 'succeeded', '', $2, 1, $3, $3)
"""


@pytest.fixture
async def stage(postgresql_url: str, redis_url: str, real_redis: Redis) -> AsyncIterator[Stage]:
    sql = await asyncpg.connect(plain(postgresql_url))
    yield Stage(postgresql_url, redis_url, sql, real_redis)
    await sql.close()


async def put(stage: Stage, *names: str, choices: tuple[int, ...] = ()) -> None:
    await stage.sql.executemany("INSERT INTO animals (name) VALUES ($1)", [(name,) for name in names])
    await stage.sql.executemany(RECEIPT, [(new_id(), choice, utc_now()) for choice in choices])


async def test_what_was_asked_for_passes(stage: Stage) -> None:
    await put(stage, "a-0", "b-0", choices=(0, 0))
    await stage.check(2, receipts=True)


@pytest.mark.parametrize(
    ("names", "choices"),
    [
        pytest.param(("a-0",), (0,), id="a lost add"),
        pytest.param(("a-0", "b-0", "b-1"), (0, 0), id="a doubled row"),
        pytest.param(("a-0", "b-1"), (0, 0), id="a second candidate although the first was free"),
        pytest.param(("a-0", "b-0"), (0,), id="a lost receipt"),
        pytest.param(("a-0", "b-0"), (0, 0, 0), id="a doubled receipt"),
        pytest.param(("a-0", "b-0"), (0, 1), id="a receipt of another candidate"),
    ],
)
async def test_a_lost_or_doubled_add_fails(stage: Stage, names: tuple[str, ...], choices: tuple[int, ...]) -> None:
    await put(stage, *names, choices=choices)
    with pytest.raises(LostOrDoubled):
        await stage.check(2, receipts=True)


def test_a_quick_run_of_dibs(tmp_path: Path) -> None:
    postgres_programs(), redis_program()
    raw = tmp_path / "raw.json"
    options = ("drain", "http", "--quick", "--only", "dibs", "--json", str(raw))
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures: list[dict[str, Any]] = orjson.loads(raw.read_bytes())["figures"]
    assert [(row["measure"], row["contender"]) for row in figures] == [("drain", "dibs"), ("http", "dibs")]
    assert all(row["median"] > 0 for row in figures)
