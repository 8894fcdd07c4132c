"""What README and docs show does what they say: every block of every page is run, in the order of the page."""

import json
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import yaml

from shared.settings import Settings
from tests.conftest import ask
from tests.docs.blocks import ROOT, Block, anchors_of, blocks_of, links_of, pages
from tests.docs.stage import Failed, Stage
from tests.services import PrivatePostgres


def as_settings(text: str) -> Settings:
    """Lines such as DIBS_PORT=8000, with quotation marks or without."""
    given = dict(line.removeprefix("DIBS_").split("=", 1) for line in text.splitlines())
    return Settings.load(**{name.lower(): value.strip('"') for name, value in given.items()})


WELL_FORMED: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "sh": as_settings,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}
POSTGRESQL = ("postgresql://dibs@localhost/dibs", "postgresql+asyncpg://dibs@localhost/dibs")
REDIS = "redis://localhost:6379/0"


@pytest.fixture
async def empty_postgresql(postgres_server: PrivatePostgres) -> AsyncIterator[str]:
    name = f"docs_{uuid4().hex}"
    await ask(postgres_server.url(), f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    await ask(postgres_server.url(), f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def directory() -> Iterator[Path]:
    """Short enough for the socket of the embedded Redis."""
    with TemporaryDirectory(prefix="dibs-docs-") as path:
        yield Path(path)


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_block_of_the_page_does_what_it_says(page: Path, request: pytest.FixtureRequest) -> None:
    text = (ROOT / page).read_text()
    blocks = blocks_of(text)
    replacements = {}
    for address in POSTGRESQL:
        if address in text:
            replacements[address] = request.getfixturevalue("empty_postgresql")
    if REDIS in text:
        replacements[REDIS] = request.getfixturevalue("redis_url")
    runs = [block for block in blocks if block.language in {"console", "python"} or "file" in block.options]
    for block in blocks:
        if well_formed := WELL_FORMED.get(block.language):
            well_formed(block.text)
    if not runs:
        return
    with directory() as path, Stage(path, replacements) as stage:
        for block in runs:
            run(stage, page, block)


def run(stage: Stage, page: Path, block: Block) -> None:
    try:
        stage.run(block)
    except Exception as error:
        error.add_note(f"{page}, line {block.line}")
        raise


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_block_of_the_page_is_held_to_something(page: Path) -> None:
    """One that is not run says why, or is of a language that is read, or is a file that another test reads."""
    for block in blocks_of((ROOT / page).read_text()):
        is_held = block.language in {"console", "python", *WELL_FORMED} or {"file", "from"} & block.options.keys()
        assert is_held, f"{page}, line {block.line}: nobody looks at this"
        assert len(block.options.get("skip", "a reason")) > len("skip"), (
            f"{page}, line {block.line}: why is it skipped?"
        )


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links within the project; what is outside of it is not ours to hold."""
    for link in links_of((ROOT / page).read_text()):
        path, _, anchor = link.partition("#")
        target = (ROOT / page.parent / path) if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in anchors_of(target.read_text()), f"{page} links to {link}"


def test_a_command_that_prints_something_else_is_found(tmp_path: Path) -> None:
    page = "```console\n$ echo a b c\na … c\n$ echo d\ne\n```\n"
    with Stage(tmp_path, {}) as stage, pytest.raises(Failed, match="should print\ne"):
        stage.run(blocks_of(page)[0])


def test_a_quotation_that_is_none_is_found(tmp_path: Path) -> None:
    with Stage(tmp_path, {}) as stage, pytest.raises(Failed, match=r"no part of tests/question/main\.py"):
        stage.run(blocks_of("```python from=tests/question/main.py\nprint()\n```\n")[0])


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    with Stage(tmp_path, {}) as stage:
        stage.run(blocks_of("```console exit=3\n$ (exit 3)\n```\n")[0])
        with pytest.raises(Failed, match="ended with 3, not 0"):
            stage.run(blocks_of("```console\n$ (exit 3)\n```\n")[0])
        with pytest.raises(Failed, match="ended with 1, not 0"):
            stage.run(blocks_of("```python\nassert False\n```\n")[0])
