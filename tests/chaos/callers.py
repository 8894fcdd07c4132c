"""Callers that do not give up: every error is answered by the same again, under the same key, to the other api."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any
from uuid import UUID

import httpx
import orjson

from shared.ids import line_id
from tests.chaos.ledger import ENDED, Ledger

NOT_NOW = frozenset({429, 502, 503, 504})
PATIENCE_S = 120.0
WINDOW = 60
"""Names that are wanted at the same time, by everybody."""
FREE_SHARE = 0.6
"""How many names there are for each add."""
MOST_LINES = 100
BAD_LINES = 50
"""One line of so many is no add."""


class BrokenOff(Exception):  # noqa: N818
    """The caller itself dies in the middle of a body."""


class GaveUp(Exception):  # noqa: N818
    """A caller that cannot go on; why stands in the ledger."""


class Turnstile:
    """Lets so many adds through as the run has come far."""

    def __init__(self, adds: int) -> None:
        self.adds = adds
        self.issued = 0
        self._allowed = 0
        self._moved = asyncio.Condition()

    async def allow(self, share: float) -> None:
        async with self._moved:
            self._allowed = round(self.adds * min(1.0, share))
            self._moved.notify_all()

    async def admit(self, wanted: int) -> int:
        """How many of `wanted` adds may go now, in their turn; 0 when there are no more."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.issued < self._allowed or self.issued >= self.adds)
            admitted = min(wanted, self._allowed - self.issued) if self.issued < self.adds else 0
            self.issued += admitted
            return admitted

    @property
    def is_behind(self) -> bool:
        return self.issued < self._allowed


class Caller:
    """One of many; what it does next is decided by the seed, when it does it is not."""

    def __init__(self, number: int, seed: int, urls: Sequence[str], ledger: Ledger, turnstile: Turnstile) -> None:
        self._number = number
        self._random = Random(f"{seed} {number}")
        self._urls = urls
        self._ledger = ledger
        self._turnstile = turnstile
        self._made = 0
        self._done: list[tuple[str, list[str]]] = []

    async def call(self) -> None:
        """Until the last add."""
        limits = httpx.Limits(max_connections=10, keepalive_expiry=1)
        async with httpx.AsyncClient(limits=limits, timeout=15, trust_env=False) as http:
            self._http = http
            acts = [self._add, self._add_twice, self._cancel, self._bulk, self._repeat]
            while True:
                [act] = self._random.choices(acts, [50, 12, 12, 4, 10])
                try:
                    if not await act():
                        return
                except GaveUp:
                    return

    async def _add(self) -> bool:
        if not await self._turnstile.admit(1):
            return False
        key, names = self._key(), self._names()
        await self._follow(await self._submit(key, names))
        self._done.append((key, names))
        return True

    async def _add_twice(self) -> bool:
        """The same key from two callers at the same moment."""
        if not await self._turnstile.admit(1):
            return False
        key, names = self._key(), self._names()
        self._ledger.counts["keys sent by two at once"] += 1
        views = await asyncio.gather(*(self._submit(key, names) for _ in range(2)))
        await asyncio.gather(*map(self._follow, views))
        return True

    async def _cancel(self) -> bool:
        if not await self._turnstile.admit(1):
            return False
        view = await self._submit(self._key(), self._names(), wait_s=0)
        answer = await self._send("DELETE", f"/jobs/{view['id']}")
        content = answer.json()
        match answer.status_code:
            case 200:
                self._ledger.seen(content)
                self._ledger.counts["cancelled"] += 1
            case 409:
                self._ledger.seen(content["job"])
                self._ledger.counts["cancels that came too late"] += 1
            case status:
                self._ledger.violated("a cancel says cancelled or too late", view["id"], f"{status} {content}")
        await self._follow(view)
        return True

    async def _repeat(self) -> bool:
        """The key of a job that has ended: the first answer, for ever."""
        if self._done:
            self._ledger.counts["keys sent again after the end"] += 1
            await self._follow(await self._submit(*self._random.choice(self._done)))
        return not self._turnstile.issued >= self._turnstile.adds

    async def _bulk(self) -> bool:
        wanted = self._random.randint(10, MOST_LINES)
        lines = await self._turnstile.admit(wanted)
        if not lines:
            return False
        key = self._key()
        wishes = [None if self._random.randrange(BAD_LINES) == 0 else self._names() for _ in range(lines)]
        body = [orjson.dumps({"candidates": names}) + b"\n" if names else b"no add\n" for names in wishes]
        headers = {"Idempotency-Key": key, "Content-Type": "application/x-ndjson"}
        if self._random.random() < 0.5:
            self._ledger.counts["bulks broken off and sent again"] += 1
            await self._break_off(headers, body[: self._random.randint(1, lines)])
        answer = await self._send("POST", "/bulk/animals", headers, lambda: _parts(body))
        view = answer.json()
        if answer.status_code != 202 or view["lines"] != lines or not view["complete"]:
            self._ledger.violated("a bulk is taken in to its last line", key, f"{answer.status_code} {view}")
            return True
        self._ledger.counts["bulks"] += 1
        self._ledger.answered_at.append(time.time())
        bulk = UUID(view["id"])
        for number, names in enumerate(wishes, 1):
            self._ledger.acknowledged[line_id(bulk, number)] = names
        return True

    async def _break_off(self, headers: dict[str, str], part: list[bytes]) -> None:
        async def dying() -> AsyncIterator[bytes]:
            yield b"".join(part)
            raise BrokenOff

        with contextlib.suppress(BrokenOff, httpx.TransportError):
            await self._http.post(self._random.choice(self._urls) + "/bulk/animals", headers=headers, content=dying())

    async def _submit(self, key: str, names: list[str], wait_s: int | None = None) -> dict[str, Any]:
        wait_s = self._random.choice([0, 0, 2]) if wait_s is None else wait_s
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        body = orjson.dumps({"candidates": names})
        answer = await self._send("POST", "/add", headers, lambda: body)
        view: dict[str, Any] = answer.json()
        if answer.status_code not in {200, 202}:
            self._ledger.violated("an add is taken in", key, f"{answer.status_code} {view}")
            raise GaveUp
        self._ledger.accepted(key, UUID(view["id"]), names)
        self._ledger.seen(view)
        return view

    async def _follow(self, view: dict[str, Any]) -> None:
        """Poll the job to its end."""
        give_up_at = time.monotonic() + PATIENCE_S
        while view["status"] not in ENDED:
            answer = await self._send("GET", f"/jobs/{view['id']}", {"Prefer": "wait=3"})
            if answer.status_code != 200:
                self._ledger.violated("an accepted job is known", view["id"], f"{answer.status_code} {answer.text}")
                return
            view = answer.json()
            if time.monotonic() > give_up_at:
                self._ledger.violated("an accepted job ends", view["id"], f"still {view['status']}")
                return
        self._ledger.seen(view)

    async def _send(
        self, method: str, path: str, headers: dict[str, str] | None = None, content: Callable[[], Any] = lambda: None
    ) -> httpx.Response:
        """The answer, however often it takes."""
        give_up_at = time.monotonic() + PATIENCE_S
        at = self._random.randrange(len(self._urls))
        while True:
            told = ""
            try:
                answer = await self._http.request(
                    method, self._urls[at % len(self._urls)] + path, headers=headers, content=content()
                )
            except httpx.TransportError as error:
                told = type(error).__name__
            else:
                if answer.status_code not in NOT_NOW:
                    return answer
                told = str(answer.status_code)
            self._ledger.counts[f"sent again after {told}"] += 1
            if time.monotonic() > give_up_at:
                self._ledger.violated("somebody answers", path, f"for {PATIENCE_S:g} s, at last {told}")
                raise GaveUp
            at += 1
            await asyncio.sleep(self._random.uniform(0.02, 0.2))

    def _key(self) -> str:
        self._made += 1
        return f"caller {self._number} add {self._made}"

    def _names(self) -> list[str]:
        return self._random.sample(wanted_names(self._turnstile.issued), self._random.randint(1, 4))


def wanted_names(issued: int) -> list[str]:
    """What everybody wants after so many adds."""
    start = round(issued * FREE_SHARE)
    return [f"name {number}" for number in range(start, start + WINDOW)]


async def _parts(lines: list[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(lines), 20):
        yield b"".join(lines[start : start + 20])
