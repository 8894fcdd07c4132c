"""The code blocks of a Markdown page, and what their info strings ask for.

```console                     commands after "$ ", each followed by what it prints; "…" stands for anything
```console background          a server that runs until the page ends
```console exit=3              commands that end with 3
```console skip="reason"       commands that cannot be run here
```python                      a program
```python file=shop/models.py  a file that the blocks after it need; any language
```python from=tests/x.py      a part of that file, which is run elsewhere
```json, ```yaml, ```toml      must be well-formed
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, its options and its text."""

    line: int
    language: str
    options: dict[str, str]
    text: str

    def commands(self) -> Iterator["Command"]:
        """The commands of a console block; a line that ends with a backslash goes on in the next."""
        lines = iter(self.text.splitlines())
        typed: str | None = None
        printed: list[str] = []
        for line in lines:
            if not line.startswith("$ "):
                printed.append(line)
                continue
            if typed is not None:
                yield Command(typed, "\n".join(printed).strip())
            typed, printed = line.removeprefix("$ "), []
            while typed.endswith("\\"):
                typed += "\n" + next(lines)
        assert typed is not None, f"line {self.line}: no line of this block begins with '$ '"
        yield Command(typed, "\n".join(printed).strip())


@dataclass(frozen=True)
class Command:
    """What is typed, and what is printed then; empty where the page does not say."""

    typed: str
    printed: str

    def is_printed_by(self, output: str) -> bool:
        pieces = [re.escape(piece.strip()) for piece in self.printed.split("…")]
        return re.fullmatch(".*".join(pieces), _unbroken(output), re.DOTALL) is not None


def _unbroken(output: str) -> str:
    return "\n".join(line.rstrip() for line in output.strip().splitlines())


def blocks_of(markdown: str) -> list[Block]:
    return [
        Block(token.map[0] + 1, *_read_info(token.info), token.content)
        for token in MarkdownIt().parse(markdown)
        if token.type == "fence" and token.map
    ]


def _read_info(info: str) -> tuple[str, dict[str, str]]:
    language, *options = shlex.split(info) or [""]
    return language, {name: value for name, _, value in (option.partition("=") for option in options)}


def links_of(markdown: str) -> list[str]:
    """The links of a page that stay within the project."""
    inline = [child for token in MarkdownIt().parse(markdown) for child in token.children or ()]
    targets = [str(child.attrs.get("href") or child.attrs.get("src") or "") for child in inline]
    return [target for target in targets if target and "://" not in target and not target.startswith(("mailto:", "/"))]


def anchors_of(markdown: str) -> set[str]:
    """What the headings of a page can be linked to by, as GitHub makes it."""
    tokens = MarkdownIt().parse(markdown)
    headings = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pages() -> list[Path]:
    """Every page of the project, relative to its root."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page.relative_to(ROOT) for page in found]
