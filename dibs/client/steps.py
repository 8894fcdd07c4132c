"""A dialogue with the server without the I/O: generators of steps, which a driver takes.

A step is a value such as "send this" or "pause"; the driver does it and sends back what came of it. httpx builds
its `auth_flow` that way. The logic is written once, and each driver, the async and the sync one, is some lines.
"""

from collections.abc import AsyncIterable, Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import httpx

T = TypeVar("T")

ANSWER_S = 10.0

Stream = Iterable[Any] | AsyncIterable[Any]


@dataclass(frozen=True)
class Ask:
    """Send a request: comes back as its response, or as the `httpx.TransportError`.

    `wait_s` is how long the server was asked to hold its answer, `answer_s` how long it may think beyond that.
    Whether `is_repeatable`: asked twice, it does no more than asked once.
    """

    method: str
    path: str
    query: dict[str, str | list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    wait_s: float = 0.0
    answer_s: float = ANSWER_S
    is_repeatable: bool = True


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Open:
    """Begin to read the caller's `stream`: comes back as what `Draw` draws from."""

    stream: Stream


@dataclass(frozen=True)
class Draw:
    """Hand items of what was opened to `take` until it says no: comes back as whether the stream has ended.

    Waits for the first item if `is_patient`, and for the others no longer than `LINGER_S` in all. An iterable that is
    not async cannot be waited for in part: an item may take as long as it takes.
    """

    source: Any
    take: Callable[[Any], bool]
    is_patient: bool


@dataclass(frozen=True)
class Give(Generic[T]):
    """One more value for the caller, who reads them one by one."""

    value: T


LINGER_S = 0.05
"""How long items that were drawn are held back for more."""

Step = Ask | Pause | Open | Draw

Steps = Generator[Step, Any, T]
"""A dialogue that returns a value."""

Gives = Generator[Step | Give[T], Any, None]
"""A dialogue that gives values one by one."""


class Done(NamedTuple):
    """The dialogue is over, and this is what it returns."""

    value: Any


def proceed(steps: Steps[Any] | Gives[Any], came: Any) -> Step | Give[Any] | Done:
    """The next step after what `came` of the one before."""
    try:
        return steps.throw(came) if isinstance(came, httpx.TransportError) else steps.send(came)
    except StopIteration as end:
        return Done(end.value)


def sent(ask: Ask) -> Steps[httpx.Response]:
    """Send `ask` once; raises `httpx.TransportError`."""
    response: httpx.Response = yield ask
    return response
