"""The type of every problem leads to a page."""

from collections.abc import AsyncIterator
from html import escape

import httpx
import pytest

from shared.database import Database
from shared.problem_kinds import ABOUT
from shared.problems import Kind, problem
from shared.queue import Queue
from tests.serving import serving

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
async def client(sqlite_database: Database, fake_queue: Queue) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(sqlite_database, fake_queue) as client:
        yield client


@pytest.mark.parametrize("kind", Kind)
async def test_every_kind_has_its_page(client: httpx.AsyncClient, kind: Kind) -> None:
    made, about = problem(kind, "why"), ABOUT[kind]
    told = (await client.get(made.type)).json()
    assert told == {
        "type": made.type, "title": made.title, "status": made.status,
        "meaning": about.meaning, "remedy": about.remedy,
    }  # fmt: skip
    page = await client.get(made.type, headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{escape(made.title)}</h1>" in page.text
    assert (str(made.status) if made.status else "failed job") in page.text


async def test_the_list_leads_to_all_of_them(client: httpx.AsyncClient) -> None:
    told = (await client.get("/problems")).json()["problems"]
    assert [one["type"] for one in told] == [f"/problems/{kind}" for kind in Kind]
    page = (await client.get("/problems", headers=BROWSER)).text
    assert all(f'href="/problems/{kind}"' in page for kind in Kind)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=x", "application/json"),
        ("", "application/json"),
        ("TEXT/HTML", "text/html; charset=utf-8"),
        ("application/json;q=0.5, text/html", "text/html; charset=utf-8"),
    ],
)
async def test_who_asks_for_html_gets_it(client: httpx.AsyncClient, accept: str, media: str) -> None:
    answer = await client.get("/problems/too-late", headers={"Accept": accept})
    assert (answer.headers["content-type"], answer.headers["vary"]) == (media, "Accept")


async def test_an_unknown_kind_is_a_404(client: httpx.AsyncClient) -> None:
    answer = await client.get("/problems/none", headers=BROWSER)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
