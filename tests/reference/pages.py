"""The pages that are written in part: what stands between two marks is the code's, the rest is written by hand."""

from collections.abc import Callable, Iterable
from pathlib import Path

from tests.reference.of_errors import kinds
from tests.reference.of_http import operations, shapes
from tests.reference.of_settings import settings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"

Lines = Callable[[], Iterable[str]]

PAGES: dict[Path, dict[str, Lines]] = {
    REFERENCE / "settings.md": {"settings": settings},
    REFERENCE / "http.md": {"operations": operations, "shapes": shapes},
    REFERENCE / "errors.md": {"kinds": kinds},
}


def written_anew(page: Path) -> str:
    """The text of `page` as it should be; raises `LookupError` where it lacks a mark."""
    text = page.read_text()
    for name, lines in PAGES[page].items():
        text = _replaced(text, name, "\n".join(lines()))
    return text


def _replaced(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}: written by `python -m tests.reference --write` -->", f"<!-- {name}: end -->"
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise LookupError(f"the page has no place for {name}")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"
