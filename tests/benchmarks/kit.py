"""`python -m tests.benchmarks.kit [--rounds N] [--write]`: what a test costs with the kit, and by create_all.

A pytest run of its own has, in turn, one test of each kind for each round. Every test inserts two rows, each in a
session and a transaction of its own. Its cost is the time of setup, call and teardown, less what an empty asynchronous
test takes, and less what its own statements take on a warm connection: twice the time of the second of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.benchmarks.machine import processor, system
from tests.benchmarks.processes import ROOT

PAGE = ROOT / "docs" / "testing" / "cost.md"
COMMAND = "python -m tests.benchmarks.kit --write"
TIMES = "KIT_TIMES"

KINDS = {
    "empty": "an empty asynchronous test",
    "sqlite-fast": "SQLite, fast mode",
    "memory-fast": "SQLite in memory, fast mode",
    "postgresql-fast": "PostgreSQL, fast mode",
    "sqlite-engine": "SQLite, an engine for each test",
    "memory-engine": "SQLite in memory, an engine for each test",
    "postgresql-engine": "PostgreSQL, an engine for each test",
    "sqlite-create_all": "SQLite, create_all and drop_all for each test",
    "postgresql-create_all": "PostgreSQL, create_all and drop_all for each test",
}
DEMANDS = {"fast": 2.0, "sqlite-engine": 8.0, "memory-engine": 8.0, "postgresql-engine": 60.0}
"""The most that a kind may cost, in ms."""

CONFIG = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

CONFTEST = """
import json, os
from collections import defaultdict
import pytest
from shared.models import Base
from shared.testing.templates import create_all
from tests.models import Base as AdoptersBase

times = defaultdict(lambda: defaultdict(float))

@pytest.fixture(scope="session")
def dibs_migrate():
    return create_all(Base.metadata, AdoptersBase.metadata)

def pytest_runtest_logreport(report):
    kind, _, number = report.nodeid.partition("[")[2].rstrip("]").rpartition("~")
    times[kind][number] += report.duration * 1000
    if report.when == "call":
        times[kind][number] -= sum(value for name, value in report.user_properties if name == "own_ms")

def pytest_sessionfinish():
    with open(os.environ["KIT_TIMES"], "w") as file:
        json.dump({kind: list(found.values()) for kind, found in times.items()}, file)
"""

TESTS = '''
from time import perf_counter
import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from shared.models import Animal, Base
from shared.testing.choice import Choice
from shared.testing.templates import create_all
from tests.models import Base as AdoptersBase

METADATA = (Base.metadata, AdoptersBase.metadata)
NOTHING = create_all()

@pytest.fixture
def kind(request):
    return request.param

@pytest.fixture
def dibs_choice(kind):
    return Choice(*kind.split("-"))

@pytest.fixture(scope="session")
def empty(dibs_servers):
    """A database without tables of each kind, for all tests."""
    return {name: dibs_servers.stack.enter_context(dibs_servers.templates(NOTHING).clone(name))
            for name in ("sqlite", "postgresql")}

@pytest.fixture
async def created(kind, empty):
    engine = create_async_engine(empty[kind.partition("-")[0]])
    async with engine.begin() as connection:
        for metadata in METADATA:
            await connection.run_sync(metadata.create_all)
    yield async_sessionmaker(engine, expire_on_commit=False)
    async with engine.begin() as connection:
        for metadata in METADATA:
            await connection.run_sync(metadata.drop_all)
    await engine.dispose()

async def work(sessions, record):
    for name in ("Max", "Cody"):
        begin = perf_counter()
        async with sessions.begin() as session:
            await session.execute(insert(Animal), {"name": name})
    record("own_ms", 2 * (perf_counter() - begin) * 1000)

def rounds(*kinds):
    params = [pytest.param(kind, id=f"{kind}~{n}") for n in range(ROUNDS) for kind in kinds]
    return pytest.mark.parametrize("kind", params, indirect=True)

@rounds("empty")
async def test_empty(kind):
    pass

@rounds(KIT)
async def test_kit(dibs_sessions, record_property):
    await work(dibs_sessions, record_property)

@rounds("sqlite-create_all", "postgresql-create_all")
async def test_create_all(created, record_property):
    await work(created, record_property)
'''


def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every test, by its kind; the first of each, which also starts servers, is left out."""
    kit = ", ".join(f'"{kind}"' for kind in KINDS if kind.endswith(("-fast", "-engine")))
    with tempfile.TemporaryDirectory(prefix="dibs-kit-") as made:
        folder = Path(made)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_kit.py").write_text(TESTS.replace("ROUNDS", str(rounds + 1)).replace("KIT)", f"{kit})"))
        (folder / "pytest.ini").write_text(CONFIG)
        times = folder / "times.json"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(folder)],
            cwd=folder,
            env=os.environ | {TIMES: str(times), "PYTHONPATH": str(ROOT)},
            stdout=sys.stderr,
            check=True,
        )
        found: dict[str, list[float]] = json.loads(times.read_text())
    return {kind: found[kind][1:] for kind in KINDS}


def rows(times: dict[str, list[float]]) -> Iterator[tuple[str, float, float, float | None]]:
    """Kind, median, 90th percentile, and the most that the median may be; all in ms."""
    floor = median(times["empty"])
    for kind, found in times.items():
        above = sorted(max(0.0, one - (0.0 if kind == "empty" else floor)) for one in found)
        yield kind, median(above), above[len(above) * 9 // 10], DEMANDS.get(kind, DEMANDS.get(kind.partition("-")[2]))


def page(times: dict[str, list[float]], rounds: int) -> Iterator[str]:
    yield "# What a test costs"
    yield ""
    yield f"Made by `{COMMAND}`: {rounds} tests of each kind, in one run. Each inserts two"
    yield "rows, each in a session and a transaction of its own. The cost is the time of setup, call and teardown, less"
    yield "what an empty asynchronous test takes, and less what the test's own statements take on a warm connection."
    yield "The models are the same for all: four tables with their keys and indexes."
    yield ""
    yield f"- processor: {processor()}"
    yield f"- system: {system()}"
    yield ""
    yield "| | median | 90th percentile | at most |"
    yield "|---|---|---|---|"
    for kind, middle, slow, limit in rows(times):
        demanded = f"{limit:g} ms" if limit else ""
        yield f"| {KINDS[kind]} | {middle:.1f} ms | {slow:.1f} ms | {demanded} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.kit", description="Measure the test kit.")
    parser.add_argument("--rounds", type=int, default=60, help="tests of each kind")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
    times = measure(given.rounds)
    text = "\n".join(page(times, given.rounds)) + "\n"
    print(text)  # noqa: T201  # what it is for
    if given.write:
        PAGE.write_text(text)
    return int(any(limit is not None and middle > limit for _, middle, _, limit in rows(times)))


if __name__ == "__main__":
    sys.exit(main())
