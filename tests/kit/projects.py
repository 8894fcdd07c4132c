"""Little projects, written into a folder of the test's own, whose tests pytest runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Room(Base):
    __tablename__ = "rooms"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
"""

CONFTEST = """
import pytest
from rooms import Base

@pytest.fixture
def dibs_metadata():
    return Base.metadata
"""


PLAIN = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest", "-q")
"""Without the plugins that are in our environment for the fuzzing: they take two seconds to load, in each run anew."""


def write(folder: Path, **files: str) -> Path:
    """A project with the model `Room` in `rooms.py` and a conftest that names it; `files` by the stem of their name."""
    texts = {"rooms": MODELS, "conftest": CONFTEST} | files
    for stem, text in texts.items():
        (folder / f"{stem}.py").write_text(text)
    (folder / "pytest.ini").write_text(CONFIG)
    return folder


def run_here(pytester: pytest.Pytester, *options: str) -> tuple[int, str]:
    """What pytest says of the project in `pytester.path`, in this process: much quicker than in one of its own."""
    result = pytester.runpytest_inprocess(*PLAIN, *options)
    return int(result.ret), result.stdout.str() + result.stderr.str()


def run(folder: Path, *options: str, python: str = sys.executable, **environment: str) -> tuple[int, str]:
    """What pytest says of it in a process of its own: the exit code and what was printed."""
    done = subprocess.run(
        [python, "-m", "pytest", *PLAIN, *options],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "DIBS"))} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout
