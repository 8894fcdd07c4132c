"""What a test wants to run on: a database and a mode, said by its marker, the command line or the configuration."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pytest

DatabaseName = Literal["sqlite", "memory", "postgresql"]
Mode = Literal["engine", "fast"]

DATABASES: tuple[DatabaseName, ...] = get_args(DatabaseName)
MODES: tuple[Mode, ...] = get_args(Mode)

MARKER = "dibs"
POSTGRES_URL = "DIBS_TEST_POSTGRES_URL"


@dataclass(frozen=True)
class Choice:
    """One database and one mode.

    `database`: "sqlite" is a file, "memory" an SQLite in memory with a shared cache, "postgresql" a PostgreSQL.
    `mode`: "engine" is a database of the test's own; "fast" is one connection, whose transaction is rolled back.
    """

    database: DatabaseName
    mode: Mode

    def __str__(self) -> str:
        return f"{self.database}-{self.mode}"


def choices(config: pytest.Config, marker: pytest.Mark | None) -> list[Choice]:
    """Everything that a test is to run on, in the order in which it was named; raises `pytest.UsageError`."""
    given: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    if marker is not None and (marker.args or given.keys() - {"database", "mode", "lifespan"}):
        raise pytest.UsageError("pytest.mark.dibs takes database=…, mode=… and lifespan=…, by keyword")
    databases = _names("database", given.get("database"), config, DATABASES)
    modes = _names("mode", given.get("mode"), config, MODES)
    return [Choice(database, mode) for database in databases for mode in modes]


def _names(what: str, marked: Any, config: pytest.Config, known: Sequence[Any]) -> list[Any]:
    """The marker counts before the command line, and that before the configuration; the first name is the default."""
    found = marked or config.getoption(f"dibs_{what}") or config.getini(f"dibs_{what}") or [known[0]]
    names = found.replace(",", " ").split() if isinstance(found, str) else list(found)
    if unknown := [name for name in names if name not in known]:
        raise pytest.UsageError(f"dibs knows no {what} {unknown[0]!r}; there are {', '.join(known)}")
    return list(dict.fromkeys(names))


def postgres_url(config: pytest.Config) -> str | None:
    """The server to use instead of a private one."""
    found = config.getoption("dibs_postgres_url") or config.getini("dibs_postgres_url") or os.environ.get(POSTGRES_URL)
    return str(found) if found else None
