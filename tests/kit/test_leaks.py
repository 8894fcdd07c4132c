"""Leaks are found where somebody asks for it, and told with the place where what leaked was taken."""

from pathlib import Path

from tests.kit.projects import run, write

LEAKY = """
import asyncio
import pytest
from sqlalchemy import text
from rooms import Room

@pytest.fixture
def dibs_worker_settings():
    return {"functions": [abs]}

async def test_connection(dibs_sessions):
    session = dibs_sessions()
    await session.execute(text("SELECT 1"))  # taken here

@pytest.mark.dibs(mode="fast")
async def test_connection_of_the_fast_mode(dibs_sessions):
    session = dibs_sessions()
    await session.execute(text("SELECT 1"))

async def test_key(dibs_redis):
    await dibs_redis.set("bounded", 1, ex=60)
    await dibs_redis.set("eternal", 1)

async def test_task():
    asyncio.create_task(asyncio.Event().wait(), name="forgotten")

async def test_tidy(dibs_sessions, dibs_redis):
    async with dibs_sessions.begin() as session:
        session.add(Room(name="one"))
    await dibs_redis.set("bounded", 1, ex=60)
    await asyncio.create_task(asyncio.sleep(0))
"""


def test_what_leaks_is_told(tmp_path: Path) -> None:
    code, printed = run(write(tmp_path, test_leaky=LEAKY), "-o", "usefixtures=dibs_leaks", "-p", "no:randomly", "-rE")
    assert code == 1, printed
    assert "5 passed, 4 errors" in printed
    assert "keys without a time to live: eternal" in printed
    assert "tasks still run: forgotten" in printed
    assert printed.count("connections were not returned, each with its transaction") >= 2
    line = LEAKY.splitlines().index('    await session.execute(text("SELECT 1"))  # taken here') + 1
    assert f"test_leaky.py:{line} in test_connection" in printed


def test_nobody_looks_unless_asked(tmp_path: Path) -> None:
    code, printed = run(write(tmp_path, test_leaky=LEAKY), "-k", "not test_task")
    assert code == 0, printed
    assert "4 passed" in printed
