"""The reference says what the code says."""

from pathlib import Path

import pytest

from shared.settings import Settings
from tests.reference.of_settings import GROUPS
from tests.reference.pages import PAGES, ROOT, written_anew


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_is_up_to_date(page: Path) -> None:
    assert page.read_text() == written_anew(page), "run `make reference`"


def test_every_setting_stands_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(Settings.model_fields)
