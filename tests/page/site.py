"""A server with a page, on a port and with a database and a queue of its own, and a browser's view of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, expect

from dibs.entrance import address_of, bound
from dibs.http_protocol import Bounds
from dibs.http_server import answering
from dibs.signals import Stop
from shared.contract import Job
from shared.database import Database, open_database
from shared.problems import Kind, problem
from shared.queue import Queue
from shared.receipts import Receipt, write_receipts
from tests.build import ANIMALS, make_fake_redis, make_job, make_settings
from tests.serving import make_test_app

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

STOP_S = 1.0


@dataclass
class Site:
    """A running server, and what it runs on."""

    url: str
    database: Database
    queue: Queue

    async def submit(self, *candidates: str) -> Job:
        """A job that waits."""
        job = make_job(ANIMALS, candidates)
        await self.queue.submit(ANIMALS.name, [job])
        return job

    async def write(self, *receipts: Receipt) -> None:
        async with self.database.writes.begin() as session:
            await write_receipts(session, receipts)

    async def fail(self, *candidates: str, detail: str = "the server was out of luck") -> Job:
        """A job that failed and could be sent again."""
        job = make_job(ANIMALS, candidates)
        error = problem(Kind.UNEXPECTED, detail)
        await self.write(Receipt.failed(job, ANIMALS.name, tries=1, error=error))
        return job


@asynccontextmanager
async def opened_site(database_url: str, **settings: Any) -> AsyncIterator[Site]:
    """The api alone: nobody works."""
    database, redis = open_database(database_url), make_fake_redis()
    queue = Queue(redis, "page", limit=10_000)
    try:
        app = make_test_app(database, queue, **settings)
        with bound("127.0.0.1", 0) as listener:
            bounds = Bounds.of(make_settings())
            stop = Stop(60)
            async with answering(app, listener, stop, bounds=bounds, grace_s=STOP_S, drain_s=0, max_connections=1000):
                yield Site(address_of(listener), database, queue)
    finally:
        await redis.aclose(close_connection_pool=True)
        await database.close()


@dataclass
class Visit:
    """One reader's window, with what it asked for and what went wrong in it."""

    page: Page
    asked: list[str]
    complaints: list[str]

    async def sees(self, text: str) -> None:
        await expect(self.page.locator("main")).to_contain_text(text)


@asynccontextmanager
async def visiting(browser: Browser, site: Site, **options: Any) -> AsyncIterator[Visit]:
    """A window of a reader of its own; a script's error or a breach of the security policy fails the test."""
    context: BrowserContext = await browser.new_context(base_url=site.url, **{"viewport": DESKTOP, **options})
    context.set_default_timeout(10_000)
    page = await context.new_page()
    visit = Visit(page, [], [])
    page.on("request", lambda request: visit.asked.append(request.url))
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.on("console", lambda message: visit.complaints.append(message.text) if message.type == "error" else None)
    try:
        yield visit
    finally:
        await context.close()
    assert visit.complaints == []
