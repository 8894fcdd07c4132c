"""The entry point of the kit: options, the marker, and fixtures once pytest-asyncio is there to run them.

Every pytest run of an environment with dibs loads this, so it imports nothing but pytest, and has no hook that does
anything for a test without fixtures of the kit. Where plugins are not loaded by themselves, one line in the top
conftest.py does: `pytest_plugins = ["shared.testing.plugin"]`.
"""

import pytest

from shared.testing.choice import DATABASES, MARKER, MODES, POSTGRES_URL, choices

FIXTURES = "shared.testing.fixtures"
RUNNER = "pytest_asyncio.plugin"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dibs", "the test kit of dibs")
    settings = {
        "database": f"what tests of the kit run on, one or several of: {', '.join(DATABASES)}",
        "mode": f"how they are kept apart, one or several of: {', '.join(MODES)}",
        "postgres_url": f"a PostgreSQL whose user may create databases; else {POSTGRES_URL}, else a private cluster",
    }
    for name, meaning in settings.items():
        group.addoption(f"--dibs-{name.replace('_', '-')}", dest=f"dibs_{name}", metavar=name.upper(), help=meaning)
        parser.addini(f"dibs_{name}", meaning, default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARKER}(database, mode, lifespan): what a test of the kit runs on, and whether the app starts up"
    )
    if any(getattr(plugin, "__name__", None) == RUNNER for plugin in config.pluginmanager.get_plugins()):
        config.pluginmanager.import_plugin(FIXTURES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "dibs_choice" not in metafunc.fixturenames:
        return
    found = choices(metafunc.config, metafunc.definition.get_closest_marker(MARKER))
    if len(found) > 1:
        metafunc.parametrize("dibs_choice", found, ids=str, indirect=True)
