"""One browser for the session, one server for each test. All of them run in the session's event loop."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.page.chromium import opened_chromium
from tests.page.site import Site, Visit, opened_site, visiting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with opened_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def site(sqlite_url: str) -> AsyncIterator[Site]:
    async with opened_site(sqlite_url) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, site: Site) -> AsyncIterator[Visit]:
    async with visiting(browser, site) as visit:
        yield visit


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this directory share the browser's event loop."""
    for item in items:
        if "tests/page/" in item.path.as_posix() and item.get_closest_marker("asyncio") is not None:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
