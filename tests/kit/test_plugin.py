"""The plugin: what it costs who does not use it, how it is told what to run on, and what it says."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from shared.testing import postgres_server
from shared.testing.missing import REQUIRE, missing
from shared.testing.postgres_server import PrivatePostgres
from tests.kit.projects import run, run_here, write


@pytest.fixture
def servers_url(postgres_server: PrivatePostgres) -> str:
    """The session's own server as somebody else's."""
    return postgres_server.url().replace("+asyncpg", "")


USES = """
async def test_it(dibs_engine, dibs_choice):
    print("ran on", dibs_choice, dibs_engine.dialect.name)
"""

HEAVY = (
    "sqlalchemy",
    "asyncpg",
    "aiosqlite",
    "fakeredis",
    "redis",
    "arq",
    "fastapi",
    "httpx",
    "alembic",
)


def test_a_run_that_uses_nothing_of_the_kit_loads_nothing_of_it(tmp_path: Path) -> None:
    loaded = "import sys\ndef test_it():\n    assert [n for n in %r if n in sys.modules] == []" % (HEAVY,)  # noqa: UP031
    code, printed = run(write(tmp_path, conftest="", rooms="", test_plain=loaded), "-p", "no:randomly")
    assert code == 0, printed


@pytest.mark.parametrize("module", ["api.main", "worker.main", "dibs.command"])
def test_production_loads_nothing_of_the_kit(module: str) -> None:
    code = f"import sys, {module}; print([n for n in sys.modules if n.startswith(('pytest', 'shared.testing'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_a_test_runs_on(pytester: pytest.Pytester) -> None:
    write(pytester.path, test_uses=USES)
    _, printed = run_here(pytester, "-s")
    assert "ran on sqlite-engine sqlite" in printed
    _, printed = run_here(pytester, "-s", "--dibs-database", "sqlite,memory", "--dibs-mode", "fast")
    assert "ran on sqlite-fast" in printed
    assert "ran on memory-fast" in printed
    _, printed = run_here(pytester, "-s", "-o", "dibs_database=memory", "-o", "dibs_mode=engine fast")
    assert "ran on memory-engine" in printed
    assert "ran on memory-fast" in printed


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            'import pytest\n@pytest.mark.dibs(database="mysql")' + USES,
            "dibs knows no database 'mysql'; there are sqlite",
        ),
        ('import pytest\n@pytest.mark.dibs("fast")' + USES, "pytest.mark.dibs takes database"),
        ("def test_it(dibs_client): pass", "override dibs_app in your conftest.py"),
        ("def test_it(dibs_queue): pass", "override dibs_worker_settings in your conftest.py"),
    ],
)
def test_what_is_missing_or_wrong_is_told(pytester: pytest.Pytester, test: str, said: str) -> None:
    write(pytester.path, test_wrong=test)
    code, printed = run_here(pytester)
    assert code != 0
    assert said in printed


def test_without_its_metadata_it_says_what_to_override(pytester: pytest.Pytester) -> None:
    write(pytester.path, conftest="", test_uses=USES)
    _, printed = run_here(pytester)
    assert "override dibs_metadata in your conftest.py, as in `return Base.metadata`" in printed


def test_where_no_plugins_are_loaded_one_line_of_a_conftest_does_it(tmp_path: Path) -> None:
    line = 'pytest_plugins = ["shared.testing.plugin"]\n'
    write(tmp_path, conftest=line + (write(tmp_path) / "conftest.py").read_text(), test_uses=USES)
    code, printed = run(tmp_path, "-p", "pytest_asyncio.plugin", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert code == 0, printed
    code, printed = run(tmp_path)
    assert code == 0, printed


def test_without_pytest_asyncio_it_is_silent(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text("def test_it(): pass")
    code, printed = run(tmp_path, "-p", "no:asyncio", "-W", "error")
    assert code == 0, printed


def test_a_missing_program_skips_and_says_how_to_get_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "postgres_programs", lambda: missing(postgres_server.NO_POSTGRES))
    monkeypatch.delenv(REQUIRE, raising=False)
    write(pytester.path, test_uses=USES)
    code, printed = run_here(pytester, "--dibs-database=postgresql", "-rs")
    assert code == 0
    assert "no PostgreSQL server programs found: apt-get install postgresql" in printed
    monkeypatch.setenv(REQUIRE, "1")
    code, printed = run_here(pytester, "--dibs-database=postgresql")
    assert code == 1


@pytest.mark.parametrize("scope", ["session", "module"])
def test_loops_that_last_longer_work_when_fixtures_and_tests_share_them(pytester: pytest.Pytester, scope: str) -> None:
    write(pytester.path, test_uses=USES)
    code, printed = run_here(
        pytester, "--dibs-mode=engine,fast",
        "-o", f"asyncio_default_fixture_loop_scope={scope}", "-o", f"asyncio_default_test_loop_scope={scope}",
    )  # fmt: skip
    assert code == 0, printed


def test_a_loop_that_is_not_the_fixtures_is_told(pytester: pytest.Pytester) -> None:
    connects = "async def test_it(dibs_engine):\n    async with dibs_engine.connect(): pass\n"
    write(pytester.path, test_uses=connects)
    code, printed = run_here(pytester, "-o", "asyncio_default_test_loop_scope=session")
    assert code == 1
    assert "let asyncio_default_fixture_loop_scope and asyncio_default_test_loop_scope be the same" in printed


def test_anyio_runs_fixtures_and_test_in_its_own_loop(pytester: pytest.Pytester, servers_url: str) -> None:
    test = """
import pytest
from rooms import Room

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_it(dibs_sessions):
    async with dibs_sessions.begin() as session:
        session.add(Room(name="one"))
"""
    write(pytester.path, test_it=test)
    code, printed = run_here(
        pytester, "-o", "asyncio_mode=strict", "--dibs-database=sqlite,postgresql", "--dibs-mode=engine,fast",
        f"--dibs-postgres-url={servers_url}",
    )  # fmt: skip
    assert code == 0, printed
    assert "4 passed" in printed


def test_migrations_by_a_callable(pytester: pytest.Pytester) -> None:
    conftest = """
import asyncio, sqlite3
import pytest

@pytest.fixture(scope="session")
def dibs_migrate():
    def migrate(url):
        async def run():  # as Alembic's env.py does for asyncio
            with sqlite3.connect(url.removeprefix("sqlite+aiosqlite:///")) as connection:
                connection.execute("CREATE TABLE made_by_hand (id INTEGER)")
            connection.close()
        asyncio.run(run())
    return migrate
"""
    test = """
import pytest
from sqlalchemy import text

@pytest.mark.parametrize("time", [1, 2])
async def test_it(dibs_engine, time):
    async with dibs_engine.begin() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM made_by_hand")) == 0
        await connection.execute(text("INSERT INTO made_by_hand VALUES (1)"))
"""
    write(pytester.path, conftest=conftest, test_it=test)
    code, printed = run_here(pytester, "--dibs-mode=engine,fast")
    assert code == 0, printed


def test_a_server_by_its_url(pytester: pytest.Pytester, servers_url: str) -> None:
    test = "async def test_it(dibs_engine):\n    assert dibs_engine.url.port == PORT\n"
    write(pytester.path, test_it=test.replace("PORT", str(make_url(servers_url).port)))
    code, printed = run_here(pytester, "--dibs-database=postgresql", f"--dibs-postgres-url={servers_url}")
    assert code == 0, printed
