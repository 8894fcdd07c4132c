"""A real Chromium, the system's own: nothing is downloaded, and it asks nobody on the internet."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests.services import missing

NO_CHROMIUM = "no Chromium found: apt-get install chromium, or put chromium on PATH"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # in a container /dev/shm has 64 MB
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def chromium_program() -> str:
    return next(filter(None, map(shutil.which, PROGRAMS)), None) or missing(NO_CHROMIUM)


@asynccontextmanager
async def opened_chromium() -> AsyncIterator[Browser]:
    """Headless; without its sandbox only for root, who cannot have it."""
    program = chromium_program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=list(ARGUMENTS), chromium_sandbox=os.geteuid() != 0
        )
        try:
            yield browser
        finally:
            await browser.close()
