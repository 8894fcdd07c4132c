"""For everybody: axe finds no fault, in both colour schemes; a phone need not scroll sideways; a keyboard is enough."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

import api.page
from shared.contract import Status
from shared.testing.servers import Servers
from tests.page.demo import fill
from tests.page.site import DESKTOP, PHONE, Site, opened_site, visiting

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def full_url(dibs_servers: Servers, dibs_migrate: Callable[[str], Awaitable[None]]) -> Iterator[str]:
    with dibs_servers.templates(dibs_migrate).clone("sqlite") as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def full(full_url: str) -> AsyncIterator[tuple[Site, list[str]]]:
    """A busy server, and every page of it."""
    async with opened_site(full_url) as site:
        receipts = await fill(site.database, site.queue)
        ended = {receipt.status: receipt.id for receipt in receipts}
        [(waiting, _, _)] = await site.queue.oldest(1)
        async with httpx.AsyncClient(base_url=site.url) as client:
            ndjson = {"Content-Type": "application/x-ndjson"}
            bulk = (await client.post("/bulk/animals", headers=ndjson, content='{"candidates":["Rex"]}\n')).json()
        yield (
            site,
            [
                "/",
                "/ui/jobs",
                "/ui/jobs?status=queued&status=running&status=retrying",
                *(f"/ui/jobs/{ended[status]}" for status in (Status.SUCCEEDED, Status.FAILED, Status.EXHAUSTED)),
                f"/ui/jobs/{waiting}",
                "/ui/jobs/nothing",
                f"/ui/bulk/{bulk['id']}",
                "/ui/retry",
                "/ui/add",
                "/ui/login",
            ],
        )


@pytest.mark.parametrize(
    ("scheme", "size", "every"), [("light", DESKTOP, 1), ("dark", DESKTOP, 1), ("light", PHONE, 4)]
)
async def test_axe_finds_no_fault(
    browser: Browser, full: tuple[Site, list[str]], scheme: str, size: dict[str, int], every: int
) -> None:
    site, paths = full
    async with visiting(browser, site, color_scheme=scheme, viewport=size) as visit:
        for path in paths[::every]:
            await visit.page.goto(path)
            if path == "/":
                await visit.page.get_by_text("The charts as a table").click()
            found = await Axe().run(visit.page, options={"runOnly": TAGS, "resultTypes": ["violations"]})
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        visit.complaints.clear()  # the browser tells of the 404


async def test_axe_would_find_a_fault(browser: Browser, full: tuple[Site, list[str]]) -> None:
    async with visiting(browser, full[0]) as visit:
        await visit.page.goto("/")
        await visit.page.evaluate("document.documentElement.removeAttribute('lang')")
        found = await Axe().run(visit.page, options={"runOnly": TAGS, "resultTypes": ["violations"]})
        assert [violation["id"] for violation in found.response["violations"]] == ["html-has-lang"]


@pytest.mark.parametrize("width", [320, 390])
async def test_nothing_is_wider_than_a_phone(browser: Browser, full: tuple[Site, list[str]], width: int) -> None:
    site, paths = full
    async with visiting(browser, site, viewport={"width": width, "height": 700}, is_mobile=True) as visit:
        for path in paths:
            await visit.page.goto(path)
            widths = await visit.page.evaluate("[document.documentElement.scrollWidth, visualViewport.width]")
            assert widths[0] <= width, path
            assert round(widths[1]) == width, path
        visit.complaints.clear()


async def test_nobody_else_is_asked(browser: Browser, full: tuple[Site, list[str]]) -> None:
    site, paths = full
    async with visiting(browser, site) as visit:
        for path in paths:
            await visit.page.goto(path, wait_until="networkidle" if path in {"/ui/add", "/ui/login"} else "load")
        assert len(visit.asked) > len(paths)
        assert [url for url in visit.asked if not url.startswith(f"{site.url}/")] == []
        visit.complaints.clear()


async def test_every_answer_keeps_the_page_ours(full: tuple[Site, list[str]]) -> None:
    site, paths = full
    async with httpx.AsyncClient(base_url=site.url, headers={"Accept": "text/html"}) as client:
        for path in [*paths, "/ui/static/page.css", "/ui/static/nothing.css"]:
            answer = await client.get(path)
            if answer.status_code == 404 and "static" in path:
                continue
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert not re.search(r"<style|style=|<script>|onclick", answer.text) or "static" in path


async def test_what_the_page_is_made_of_is_asked_for_once(full: tuple[Site, list[str]]) -> None:
    async with httpx.AsyncClient(base_url=full[0].url) as client:
        page = (await client.get("/")).text
        for name in ("page.css", "page.js", "htmx-4.0.1.min.js", "icon.svg"):
            [address] = set(re.findall(rf'"(/ui/static/{re.escape(name)}\?\w+)"', page))
            answer = await client.get(address)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]


def test_what_others_made_has_its_licence_beside_it() -> None:
    static = Path(api.page.__file__).parent / "static"
    assert "Zero-Clause BSD" in (static / "htmx-LICENSE.txt").read_text()
    assert 'this.version="4.0.1"' in (static / "htmx-4.0.1.min.js").read_text()


async def test_a_keyboard_is_enough(browser: Browser, sqlite_url: str) -> None:
    async with opened_site(sqlite_url) as site, visiting(browser, site) as visit:
        job = await site.fail("Max")
        page = visit.page
        await page.goto("/")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("#main")).to_be_focused()
        again = page.get_by_role("button", name="Send again Max")
        for _ in range(20):
            await page.keyboard.press("Tab")
            if await again.evaluate("button => button === document.activeElement"):
                break
        outline = await again.evaluate("button => getComputedStyle(button).outlineStyle")
        assert outline == "solid"
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="Sent again")).to_be_visible()
        assert await site.queue.depth() == 1
        assert job is not None


async def test_what_happens_is_told_to_a_screen_reader(browser: Browser, sqlite_url: str) -> None:
    """The status of a job is a live region, and it is the same element before and after."""
    async with opened_site(sqlite_url) as site, visiting(browser, site) as visit:
        job = await site.submit("Max")
        await visit.page.goto(f"/ui/jobs/{job.id}")
        region = visit.page.get_by_role("status").filter(has_text="queued")
        handle = await region.element_handle()
        assert handle is not None
        await visit.page.request.delete(f"/jobs/{job.id}")
        await expect(visit.page.locator("#status")).to_have_text("cancelled")
        assert await handle.evaluate("region => region.isConnected && region.textContent.trim()") == "cancelled"
