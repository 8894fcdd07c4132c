"""A small client of dibs.

DibsError
├── Unsendable    what was given makes no request
├── Unreachable   nobody answered, or only to say "not now", however often it was asked
├── Refused       the server said no; `problem` says why
└── Garbled       whoever answered is not dibs
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
from pydantic import ValidationError

from shared.contract import MAX_KEY_LENGTH, JobView
from shared.problems import Problem

Candidate = str | int | bool | Mapping[str, Any]

TRIES = 4
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
ANSWER_S = 10.0
"""How long a server may think, beyond what it was asked to wait."""
WAIT_AT_ONCE_S = 25
"""Shorter than the patience of most proxies."""

NOT_NOW = frozenset({429, 502, 503, 504})


class DibsError(Exception):
    """The root of what this client raises."""


class Unsendable(DibsError):  # noqa: N818
    """What was given makes no request."""


class Unreachable(DibsError):  # noqa: N818
    """Nobody answered, or only to say "not now". A submit may have been taken in: repeat it with the same key."""


class Refused(DibsError):  # noqa: N818
    """The server said no."""

    def __init__(self, problem: Problem, status: int) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.status = status


class Garbled(DibsError):  # noqa: N818
    """Whoever answered is not dibs."""


@dataclass(frozen=True)
class Ask:
    """A request to be, without the I/O. `wait_s` is how long the server was asked to hold its answer."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    wait_s: int = 0


def ask_to_add(
    candidates: Sequence[Candidate] | None,
    *,
    values: Mapping[str, Any] | None = None,
    collection: str | None = None,
    key: str,
    wait_s: float = 0,
) -> Ask:
    """POST /add; without candidates it has no body, which leaves them to the server. Raises `Unsendable`."""
    if len(key) > MAX_KEY_LENGTH or not (key and key.isascii() and key.isprintable()):
        raise Unsendable(f"an idempotency key has 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    wait = _whole(wait_s)
    headers = {"Idempotency-Key": '"{}"'.format(key.replace("\\", r"\\").replace('"', r"\""))} | _prefer(wait)
    try:
        path = "/add" if collection is None else f"/add/{quote(collection, safe='')}"
        if candidates is None:
            return Ask("POST", path, headers, wait_s=wait)
        content = {"candidates": list(candidates)} | ({"values": dict(values)} if values else {})
        body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise Unsendable(f"the add has no form in JSON: {error}") from None
    return Ask("POST", path, headers | {"Content-Type": "application/json"}, body, wait)


def ask_for_job(job: UUID, *, wait_s: float = 0) -> Ask:
    """GET /jobs/{id}."""
    wait = _whole(wait_s)
    return Ask("GET", f"/jobs/{job}", _prefer(wait), wait_s=wait)


def read_job(response: httpx.Response) -> JobView:
    """The job in `response`; raises `Refused` or `Garbled`."""
    try:
        if response.is_success:
            return JobView.model_validate_json(response.content)
        raise Refused(Problem.model_validate_json(response.content), response.status_code)
    except ValidationError:
        raise Garbled(f"{response.url} answered {response.status_code} and nothing that dibs would say") from None


def pause_s(tries: int, response: httpx.Response | None = None) -> float | None:
    """How long to pause before the next try after `tries` of them and `response`, or None: that was the last one."""
    if tries >= TRIES or (response is not None and response.status_code not in NOT_NOW):
        return None
    asked_for = _retry_after_s(response) if response is not None else None
    curve_s = FIRST_PAUSE_S * 2.0 ** (tries - 1)
    return min(LONGEST_PAUSE_S, curve_s if asked_for is None else asked_for)


def _retry_after_s(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds; the form with a date is not what dibs sends."""
    given = response.headers.get("Retry-After", "")
    return float(given) if given.isdecimal() else None


def _prefer(wait_s: int) -> dict[str, str]:
    return {"Prefer": f"wait={wait_s}"} if wait_s else {}


def _whole(wait_s: float) -> int:
    """RFC 7240 waits in whole seconds."""
    return math.ceil(min(WAIT_AT_ONCE_S, max(0.0, wait_s)))


def authorization(api_key: str | None) -> dict[str, str]:
    """The header that shows `api_key`; raises `Unsendable`, which does not."""
    if not api_key or not api_key.strip():
        return {}
    if not (api_key.strip().isascii() and api_key.strip().isprintable()):
        # httpx would put it into its error.
        raise Unsendable("the API key is none: a key is dibs_ and printable ASCII characters")
    return {"Authorization": f"Bearer {api_key.strip()}"}


def _server(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise Unsendable(f"{url!r} is no address of a server such as http://127.0.0.1:8000")
    return address


class Client:
    """Talks to the dibs at `url`; `with` closes its connections.

    A connection that fails and a server that says "not now" are tried again, `TRIES` times in all. That is safe:
    an add has an idempotency key, one made up where none is given.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        base = _server(url)
        # A proxy for the outside is of no use for this machine.
        here = base.host in {"127.0.0.1", "::1", "localhost"}
        self._http = httpx.Client(
            base_url=base, headers=authorization(api_key), transport=transport, trust_env=not here
        )
        self._sleep = sleep
        self._clock = clock

    def submit(
        self,
        candidates: Sequence[Candidate] | None = None,
        *,
        values: Mapping[str, Any] | None = None,
        collection: str | None = None,
        key: str | None = None,
        wait_s: float = 0,
    ) -> JobView:
        """Add the first of `candidates` that is free; the job as it stands, at the latest after `wait_s`."""
        begun = self._clock()
        made = ask_to_add(candidates, values=values, collection=collection, key=key or uuid4().hex, wait_s=wait_s)
        job = self._send(made)
        left_s = wait_s - (self._clock() - begun)
        return job if job.status.is_outcome or left_s <= 0 else self.wait(job.id, timeout_s=left_s)

    def job(self, job: UUID) -> JobView:
        return self._send(ask_for_job(job))

    def wait(self, job: UUID, *, timeout_s: float) -> JobView:
        """The job when it has ended, or as it stands after `timeout_s`."""
        deadline = self._clock() + timeout_s
        while True:
            begun = self._clock()
            made = ask_for_job(job, wait_s=deadline - begun)
            view = self._send(made)
            now = self._clock()
            if view.status.is_outcome or now >= deadline:
                return view
            if now - begun < made.wait_s / 2:
                # The server does not wait that long, or not at all: ask it at a pace that it can stand.
                self._sleep(min(1.0, deadline - now))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, ask: Ask) -> JobView:
        for tries in count(1):
            try:
                response = self._http.request(
                    ask.method, ask.path, headers=ask.headers, content=ask.content, timeout=ANSWER_S + ask.wait_s
                )
            except httpx.TransportError as error:
                pause = pause_s(tries)
                if pause is None:
                    raise Unreachable(f"{self._http.base_url} cannot be reached: {error}") from error
            else:
                pause = pause_s(tries, response)
                if pause is None:
                    return _answer(response)
            self._sleep(pause)
        raise AssertionError("unreachable")


def _answer(response: httpx.Response) -> JobView:
    try:
        return read_job(response)
    except (Refused, Garbled) as error:
        if response.status_code in NOT_NOW:
            raise Unreachable(f"{response.url} says {response.status_code}, not now: {error}") from error
        raise
