"""100,000 receipts in the table, and the page opens in less than a second."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page
from sqlalchemy import text

from tests.page.site import Site, opened_site, visiting

RECEIPTS = 100_000
LIMIT_MS = 1_000

# 1 in 50 failed, 1 in 20 exhausted; one each second, the last now. An id is 16 bytes, the number in its last.
ON_SQLITE = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :receipts)
INSERT INTO receipts (id, collection, status, fingerprint, content, result, choice, tries, error,
                      submitted_at, finished_at)
SELECT printf('01920000000070008000%012x', n), iif(n % 3, 'animals', 'handles'),
       CASE WHEN n % 50 = 0 THEN 'failed' WHEN n % 20 = 1 THEN 'exhausted' ELSE 'succeeded' END,
       printf('%064x', n), printf('{"candidates":[{"name":"a-%d"},{"name":"b-%d"}],"values":{}}', n, n),
       CASE WHEN n % 50 = 0 OR n % 20 = 1 THEN NULL ELSE printf('{"id":%d,"name":"a-%d"}', n, n) END,
       0, 1,
       CASE WHEN n % 50 THEN NULL ELSE '{"type":"/problems/unexpected","title":"t","detail":"d"}' END,
       strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('-%d seconds', :receipts - n + 1)),
       strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('-%d seconds', :receipts - n))
FROM numbers
"""
ON_POSTGRESQL = """
INSERT INTO receipts (id, collection, status, fingerprint, content, result, choice, tries, error,
                      submitted_at, finished_at)
SELECT format('01920000-0000-7000-8000-%s', lpad(to_hex(n), 12, '0'))::uuid,
       CASE WHEN n % 3 = 0 THEN 'handles' ELSE 'animals' END,
       CASE WHEN n % 50 = 0 THEN 'failed' WHEN n % 20 = 1 THEN 'exhausted' ELSE 'succeeded' END,
       lpad(to_hex(n), 64, '0'),
       json_build_object('candidates', json_build_array(json_build_object('name', format('a-%s', n)),
                                                        json_build_object('name', format('b-%s', n))),
                         'values', json_build_object()),
       CASE WHEN n % 50 = 0 OR n % 20 = 1 THEN NULL ELSE json_build_object('id', n, 'name', format('a-%s', n)) END,
       0, 1,
       CASE WHEN n % 50 <> 0 THEN NULL
            ELSE json_build_object('type', '/problems/unexpected', 'title', 't', 'detail', 'd') END,
       now() - make_interval(secs => :receipts - n + 1), now() - make_interval(secs => :receipts - n)
FROM generate_series(1, :receipts) AS n
"""

PAGES = (
    "/",
    "/ui/jobs",
    "/ui/jobs?status=failed",
    "/ui/jobs?status=succeeded&status=failed&collection=handles",
    "/ui/jobs?since=2020-01-01T00:00&until=2020-01-02T00:00",
    "/ui/retry",
)


async def fill_with_receipts(site: Site, receipts: int) -> None:
    is_sqlite = site.database.writer.dialect.name == "sqlite"
    async with site.database.writes.begin() as session:
        await session.execute(text(ON_SQLITE if is_sqlite else ON_POSTGRESQL), {"receipts": receipts})
        await session.execute(text("ANALYZE"))


async def _opening(page: Page, path: str) -> float:
    """From the start of the navigation to the end of loading, in ms, as the browser measured it."""
    await page.goto(path)
    return float(
        await page.evaluate(
            "() => new Promise(done => setTimeout(() => {"
            " const [entry] = performance.getEntriesByType('navigation');"
            " done(entry.loadEventEnd - entry.startTime); }))"
        )
    )


@pytest_asyncio.fixture(loop_scope="session")
async def large(database_url: str) -> AsyncIterator[Site]:
    async with opened_site(database_url) as site:
        await fill_with_receipts(site, RECEIPTS)
        yield site


async def test_a_large_table_opens_in_less_than_a_second(browser: Browser, large: Site) -> None:
    async with visiting(browser, large) as visit:
        await visit.page.goto("/ui/add")  # what the first page of all takes is the start of the browser
        for path in PAGES:
            # The machine may be busy with other tests: the better of two says what the page takes.
            took_ms = min([await _opening(visit.page, path) for _ in range(2)])
            assert took_ms < LIMIT_MS, path
        await visit.page.goto("/ui/jobs?status=failed")
        assert await visit.page.locator("table.jobs tbody tr").count() == 50
