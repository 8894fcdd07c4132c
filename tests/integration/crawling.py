"""Whoever follows every address that the api tells: in JSON, in headers, in HTML, in event streams."""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, NamedTuple

import httpx

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
JSON = {"Accept": "application/json"}
MOST = 500


class Told(NamedTuple):
    """An address, how it is to be asked for, and where it was told."""

    method: str
    address: str
    source: str


@dataclass
class Crawl:
    """What was found: the addresses below `root`, each asked for once, and what is wrong."""

    root: str
    asked: dict[tuple[str, str], int]
    wrong: list[str]


async def crawl(client: httpx.AsyncClient, root: str, *starts: str) -> Crawl:
    """Follow whatever is told from `starts` on, which stand below `root`. A form is sent nearly empty."""
    found = Crawl(root, {}, [])
    waiting = deque(Told("GET", root + start, "the start") for start in starts)
    while waiting:
        told = waiting.popleft()
        if (told.method, told.address) in found.asked or told.address.startswith("#"):
            continue
        assert len(found.asked) < MOST, "there is no end to it"
        if not told.address.startswith(f"{root}/"):
            found.wrong.append(f"{told.source} tells of {told.address}")
            continue
        answers = [await _ask(client, told, headers) for headers in (JSON, HTML)]
        found.asked[told.method, told.address] = answers[0].status_code
        for answer in answers:
            if answer.status_code in {404, 405} or answer.status_code >= 500:
                found.wrong.append(f"{told.source} tells of {told.address}: {answer.status_code}")
            waiting.extend(addresses_in(answer, told.address))
    return found


async def _ask(client: httpx.AsyncClient, told: Told, headers: dict[str, str]) -> httpx.Response:
    form = {"collection": "animals"} if told.method == "POST" else None
    return await client.request(told.method, told.address, headers=headers, data=form)


def addresses_in(answer: httpx.Response, source: str) -> Iterator[Told]:
    for name in ("location", "hx-redirect"):
        if name in answer.headers:
            yield Told("GET", answer.headers[name], source)
    for target in re.findall(r"<([^>]*)>", answer.headers.get("link", "")):
        yield Told("GET", target, source)
    media = answer.headers.get("content-type", "").partition(";")[0]
    if media == "text/html":
        reader = _Page()
        reader.feed(answer.text)
        yield from (Told(method, address, source) for method, address in reader.told)
    elif media == "text/event-stream":
        for data in re.findall(r"^data: (.*)$", answer.text, re.MULTILINE):
            yield from (Told("GET", address, source) for address in _in_json(json.loads(data)))
    elif media == "application/x-ndjson":
        for line in answer.text.splitlines():
            yield from (Told("GET", address, source) for address in _in_json(json.loads(line)))
    elif media.endswith("json") and not source.endswith("/openapi.json"):
        yield from (Told("GET", address, source) for address in _in_json(answer.json()))


def _in_json(content: Any) -> Iterator[str]:
    """Every text that looks like an address, but for the pointers into what was sent and a schema's own."""
    match content:
        case str() if content.startswith("/"):
            yield content
        case list():
            for one in content:
                yield from _in_json(one)
        case dict():
            for name, value in content.items():
                if name not in {"pointer", "add_schema", "add"}:
                    yield from _in_json(value)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        for name in ("href", "src", "hx-get"):
            if name in given:
                self.told.append(("GET", given[name]))
        if "action" in given:
            self.told.append((given.get("method", "get").upper(), given["action"]))
        if given.get("http-equiv") == "refresh":
            self.told.append(("GET", given["content"].partition("url=")[2]))
