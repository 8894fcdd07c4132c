"""The wheel brings the plugin: a project outside of the tree, in an environment of its own, uses it on its models."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks_of
from tests.kit.projects import run

PAGE = ROOT / "docs" / "testing" / "README.md"
IS_FROM_THE_WHEEL = """
import sys
import shared.testing.plugin

def test_the_plugin_is_the_wheels():
    assert shared.testing.plugin.__file__.startswith(sys.prefix)
"""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    [built] = tmp_path.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path: Path, wheel: Path) -> Path:
    """The Python of an environment with the wheel installed; its dependencies are those of this one."""
    place = tmp_path / "environment"
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    [packages] = place.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_a_project_outside_of_the_tree_uses_the_plugin(
    tmp_path: Path, environment: Path, request: pytest.FixtureRequest
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for block in blocks_of(PAGE.read_text()):
        if "file" in block.options and "/" not in block.options["file"]:
            (project / block.options["file"]).write_text(block.text)
    (project / "test_wheel.py").write_text(IS_FROM_THE_WHEEL)
    url = request.getfixturevalue("postgres_server").url()
    code, printed = run(
        project, "-n", "2", "--dibs-database", "sqlite,postgresql", f"--dibs-postgres-url={url}",
        python=str(environment),
    )  # fmt: skip
    assert code == 0, printed
    assert "19 passed" in printed


def test_the_wheel_has_what_the_kit_needs_to_be_typed_and_found(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
        assert "[pytest11]\nshared.testing.plugin = shared.testing.plugin" in opened.read(entry_points).decode()
    assert {"shared/py.typed", "shared/testing/plugin.py", "shared/testing/fixtures.py"} <= names
    assert not [name for name in names if name.startswith("tests/")]
