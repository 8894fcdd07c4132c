"""The overview: what it tells, that it is live, and what it does while something is away."""

import asyncio

from playwright.async_api import Browser, expect

from shared.contract import Status
from tests.page.demo import fill
from tests.page.site import Site, Visit, visiting
from tests.serving import working


async def test_it_tells_how_things_stand(site: Site, visit: Visit) -> None:
    await fill(site.database, site.queue)
    await visit.page.goto("/")
    tiles = visit.page.locator(".tiles")
    await expect(tiles.locator(".queued")).to_contain_text("793")
    await expect(tiles.locator(".queued")).to_contain_text("oldest")
    await expect(tiles.locator(".running")).to_contain_text("776")
    hour = await site.queue.last_hour()
    failed = sum(minute.counts.get(Status.FAILED, 0) for minute in hour)
    assert failed > 0
    await expect(tiles.locator(".failed a")).to_have_text(str(failed))
    await expect(visit.page.get_by_role("row").filter(has_text="worker-1:7")).to_contain_text("500 jobs into handles")
    failures = visit.page.locator("section", has=visit.page.get_by_role("heading", name="Failed lately"))
    await expect(failures.get_by_role("row")).to_have_count(1 + 8)
    await expect(failures).to_contain_text("The database refused the row")


async def test_the_charts_are_drawn_and_told(site: Site, visit: Visit) -> None:
    await fill(site.database, site.queue)
    await visit.page.goto("/")
    rates = visit.page.get_by_role("img", name="Jobs that ended, by minute")
    box = await rates.bounding_box()
    assert box is not None
    assert box["width"] > 300
    assert box["height"] > 100
    assert await rates.locator("rect.succeeded").count() > 50
    await expect(visit.page.get_by_role("img", name="From submit to outcome: p50 between")).to_be_visible()
    # By pointing: what was in the minute under the pointer, in both charts.
    await visit.page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    readout = visit.page.locator(".readout").last
    await expect(readout).to_contain_text("succeeded")
    await expect(readout).to_contain_text("p99")
    # By reading: the same numbers as a table.
    await visit.page.get_by_text("The charts as a table").click()
    minutes = [minute for minute in await site.queue.last_hour() if minute.ended]
    rows = visit.page.locator("#numbers tbody tr")
    await expect(rows).to_have_count(len(minutes))
    first = minutes[0]
    cells = await rows.first.locator("td").all_inner_texts()
    assert cells[:4] == [
        str(first.counts.get(Status(status), 0)) for status in ("succeeded", "exhausted", "cancelled", "failed")
    ]


async def test_it_is_live_and_keeps_what_the_reader_has_opened(site: Site, visit: Visit) -> None:
    await visit.page.goto("/")
    queue = visit.page.locator(".tile.queued dd a")
    await expect(queue).to_have_text("0")
    await visit.page.get_by_text("The charts as a table").click()
    await visit.page.locator("#numbers summary").focus()
    await site.submit("Max")
    await expect(queue).to_have_text("1")
    async with working(site.database, site.queue):
        await expect(visit.page.locator(".tile.succeeded a")).to_have_text("1")
        await visit.sees("idle")
    assert await visit.page.locator("#numbers").get_attribute("open") is not None
    await expect(visit.page.locator("#numbers summary")).to_be_focused()


async def test_what_moves_can_be_stopped(site: Site, visit: Visit) -> None:
    await visit.page.goto("/")
    switch = visit.page.get_by_role("button", name="Live")
    await switch.click()
    await expect(switch).to_have_attribute("aria-pressed", "false")
    visit.asked.clear()
    await site.submit("Max")
    await asyncio.sleep(2.5)  # longer than it is from one look to the next: nothing may happen
    assert visit.asked == []
    await switch.click()
    await expect(visit.page.locator(".tile.queued dd a")).to_have_text("1")


async def test_redis_away_is_told_and_what_the_database_knows_is_shown(site: Site, visit: Visit) -> None:
    await site.fail("Max", detail="the disk was full")
    site.queue.redis.connection_pool.connection_kwargs["server"].connected = False
    await visit.page.goto("/")
    await visit.sees("The queue cannot be reached")
    await visit.sees("the disk was full")
    site.queue.redis.connection_pool.connection_kwargs["server"].connected = True
    await expect(visit.page.locator(".tile.queued dd a")).to_have_text("0")


async def test_a_server_that_is_gone_is_told(browser: Browser, sqlite_url: str, site: Site) -> None:
    async with visiting(browser, site) as visit:
        await visit.page.goto("/")
        await visit.page.route("**/*", lambda route: route.abort())
        await expect(visit.page.get_by_text("The server did not answer. What you see is from")).to_be_visible()
        await visit.page.unroute("**/*")
        await expect(visit.page.locator("#stale")).to_be_hidden()
        visit.complaints.clear()  # the browser tells of each request that came to nothing


async def test_it_can_be_read_without_scripts(browser: Browser, site: Site) -> None:
    await site.fail("Max", detail="the disk was full")
    async with visiting(browser, site, java_script_enabled=False) as visit:
        await visit.page.goto("/")
        await visit.sees("the disk was full")
        await visit.page.get_by_role("button", name="Send again Max").click()
        await expect(visit.page.get_by_role("link", name="Sent again")).to_be_visible()
        await expect(visit.page.get_by_role("button", name="Live")).to_have_count(0)
    assert await site.queue.depth() == 1
