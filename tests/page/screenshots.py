"""`make screenshots`: the pictures in docs/images, of a server as tests/page/demo.py fills it."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser

from shared.contract import Status
from shared.migrate import migrate
from tests.build import HANDLES
from tests.page.chromium import opened_chromium
from tests.page.demo import fill
from tests.page.site import PHONE, Site, opened_site, visiting

IMAGES = Path(__file__).parents[2] / "docs" / "images"

DESKTOP = {"width": 1280, "height": 860}
LARGEST_BYTES = 200_000


async def draw_all() -> None:
    directory = Path(tempfile.mkdtemp(prefix="dibs-screenshots-"))
    try:
        url = f"sqlite+aiosqlite:///{directory / 'dibs.db'}"
        await migrate(url, [HANDLES.table])
        async with opened_chromium() as browser, opened_site(url) as site:
            receipts = await fill(site.database, site.queue)
            failed = next(receipt for receipt in receipts if receipt.status is Status.FAILED)
            won = next(receipt for receipt in receipts if receipt.choice == 2)  # the third of several
            await draw(browser, site, "page-light", "/", "light", DESKTOP)
            await draw(browser, site, "page-dark", "/", "dark", DESKTOP)
            await draw(browser, site, "page-phone", "/", "light", PHONE)
            await draw(browser, site, "page-jobs", "/ui/jobs", "light", DESKTOP)
            await draw(browser, site, "page-job", f"/ui/jobs/{won.id}", "light", {"width": 1280, "height": 560})
            await draw(browser, site, "page-failed", f"/ui/jobs/{failed.id}", "dark", {"width": 1280, "height": 600})
    finally:
        shutil.rmtree(directory)


async def draw(browser: Browser, site: Site, name: str, path: str, scheme: str, size: dict[str, int]) -> None:
    scale = 2 if size is PHONE else 1
    async with visiting(browser, site, color_scheme=scheme, viewport=size, device_scale_factor=scale) as visit:
        await visit.page.goto(path)
        picture = await visit.page.screenshot(animations="disabled")
    if len(picture) > LARGEST_BYTES:
        sys.exit(f"{name}.png has {len(picture)} bytes; it should be lighter")
    await asyncio.to_thread((IMAGES / f"{name}.png").write_bytes, picture)


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(draw_all())
