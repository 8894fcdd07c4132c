"""Who may see the page, once there are keys."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from shared.database import open_database
from shared.ids import keyed_id
from shared.scopes import Scope
from tests.keys import make_key, revoke
from tests.page.site import Site, Visit, opened_site, visiting
from tests.serving import WAIT


@pytest_asyncio.fixture(loop_scope="session")
async def site(sqlite_url: str) -> AsyncIterator[Site]:
    """A server whose door was closed before it started."""
    database = open_database(sqlite_url)
    await make_key(database, "somebody")
    await database.close()
    async with opened_site(sqlite_url, keys_refresh_s=0.1) as site:
        yield site


SAME = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


async def log_in(visit: Visit, key: str, path: str = "/") -> None:
    await visit.page.goto(path)
    await visit.page.get_by_label("API key").fill(key)
    await visit.page.get_by_role("button", name="Log in").click()


async def test_a_key_opens_the_page_that_was_asked_for_until_the_log_out(site: Site, visit: Visit) -> None:
    key = await make_key(site.database, "ada")
    await log_in(visit, key, "/ui/jobs?status=failed")
    await expect(visit.page).to_have_url(f"{site.url}/ui/jobs?status=failed")
    [cookie] = await visit.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Strict", -1)
    await visit.page.get_by_role("button", name="Log out").click()
    await expect(visit.page.get_by_label("API key")).to_be_visible()
    assert await visit.page.context.cookies() == []
    await visit.page.goto("/")
    assert "/ui/login" in visit.page.url


async def test_a_wrong_key_opens_nothing(site: Site, visit: Visit) -> None:
    await make_key(site.database, "ada")
    await log_in(visit, "dibs_something")
    await visit.sees("not known, has expired or was revoked")
    assert await visit.page.context.cookies() == []
    visit.complaints.clear()  # the browser tells of the 403


async def test_a_key_that_is_revoked_ends_the_page_that_is_open(browser: Browser, sqlite_url: str, site: Site) -> None:
    key = await make_key(site.database, "ada")
    async with visiting(browser, site) as visit:
        await log_in(visit, key)
        await visit.sees("No worker has shown itself")
        await revoke(site.database, key)
        await visit.page.wait_for_url("**/ui/login", timeout=20_000)
        visit.complaints.clear()  # the browser tells of the 401


async def test_a_link_from_elsewhere_opens_although_the_browser_holds_the_cookie_back(site: Site, visit: Visit) -> None:
    await log_in(visit, await make_key(site.database, "ada"))
    job = await site.submit("Max")
    await visit.page.route(
        "http://chat.example/**",
        lambda route: route.fulfill(content_type="text/html", body=f'<a href="{site.url}/ui/jobs">the jobs</a>'),
    )
    await visit.page.goto("http://chat.example/")
    await visit.page.get_by_role("link").click()
    await expect(visit.page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert job is not None


async def test_each_sees_what_is_theirs_and_an_admin_all(browser: Browser, site: Site) -> None:
    keys = {name: await make_key(site.database, name) for name in ("ada", "grace")}
    keys["root"] = await make_key(site.database, "root", Scope.ADMIN)
    async with httpx.AsyncClient(base_url=site.url, headers={"Authorization": f"Bearer {keys['ada']}"}) as client:
        job = (await client.post("/add", headers={"Idempotency-Key": "wish-1"})).json()
        await client.delete(job["links"]["self"])
    for name, sees in (("ada", True), ("grace", False), ("root", True)):
        async with visiting(browser, site) as visit:
            await log_in(visit, keys[name], "/ui/jobs")
            await expect(visit.page.get_by_role("link", name=job["id"])).to_have_count(int(sees))
            answer = await visit.page.goto(f"/ui/jobs/{job['id']}")
            assert answer is not None
            assert answer.status == (200 if sees else 404)
            visit.complaints.clear()
    assert job["id"] == str(keyed_id("ada", "wish-1"))


async def test_who_may_only_read_is_shown_no_buttons_and_has_none(site: Site, visit: Visit) -> None:
    key = await make_key(site.database, "root", Scope.READ)
    await log_in(visit, key)
    job = await site.fail("Max")
    await visit.page.goto("/ui/jobs")
    assert await visit.page.get_by_role("button", name="Send again").count() == 0
    assert await visit.page.get_by_role("link", name="Add").count() == 0
    refused = await visit.page.request.post(f"/ui/jobs/{job.id}/retry", form={"back": "/"}, headers=SAME)
    assert refused.status == 403
    assert await site.queue.depth() == 0


@pytest.mark.parametrize(
    "says",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {},
    ],
)
async def test_a_form_from_elsewhere_does_nothing(site: Site, says: dict[str, str]) -> None:
    job = await site.fail("Max")
    form = {"collection": "animals", "candidates": "Max"}
    key = await make_key(site.database, "ada", Scope.ADMIN)
    async with httpx.AsyncClient(base_url=site.url, cookies={"dibs_key": key}) as client:
        for path in (f"/ui/jobs/{job.id}/retry", "/ui/retry", "/ui/add", "/ui/login", "/ui/logout"):
            answer = await client.post(path, data=form, headers=says)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/foreign-form")
    assert await site.queue.depth() == 0


async def test_the_cookie_opens_no_door_of_the_api_that_changes_something(site: Site) -> None:
    key = await make_key(site.database, "ada")
    async with httpx.AsyncClient(base_url=site.url, cookies={"dibs_key": key}) as client:
        assert (await client.get("/stats")).status_code in {200, 403}
        assert (await client.get("/jobs/01920000-0000-7000-8000-000000000000")).status_code == 404
        assert (await client.post("/add", headers=WAIT)).status_code == 401
        assert (await client.delete("/jobs/01920000-0000-7000-8000-000000000000")).status_code == 401
    assert await site.queue.depth() == 0


async def test_a_form_leads_nowhere_else(site: Site) -> None:
    key = await make_key(site.database, "ada")
    async with httpx.AsyncClient(base_url=site.url, headers=SAME) as client:
        for wanted in (
            "https://elsewhere.example/",
            "//elsewhere.example",
            "/\\elsewhere.example",
            "/ui/../x",
            "javascript:1",
        ):
            answer = await client.post("/ui/login", data={"key": key, "next": wanted})
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
