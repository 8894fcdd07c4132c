"""How the server is asked: again where that is safe, and until its answer is one of dibs's."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random, SystemRandom
from typing import Generic, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from dibs.client.errors import Garbled, Refused, Unreachable
from dibs.client.steps import Ask, Pause, Steps, sent
from shared.contract import JobView
from shared.problems import Problem

M = TypeVar("M", bound=BaseModel)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
PATIENCE_S = 10.0

TOO_MANY = 429
NOT_NOW = frozenset({TOO_MANY, 502, 503, 504})

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Held:
    """A job in the hands of the caller: `view` is what was last heard of it."""

    view: JobView


J = TypeVar("J", bound=Held)


@dataclass(frozen=True)
class Asking(Generic[J]):
    """Asks as often as `patience_s` allows, with capped exponential backoff and jitter.

    `hold` puts a job into the caller's hands.
    """

    hold: Callable[[JobView], J]
    server: str = "the server"
    patience_s: float = PATIENCE_S
    clock: Callable[[], float] = time.monotonic
    random: Random = field(default_factory=SystemRandom)

    def answer(self, ask: Ask, *, not_now: frozenset[int] = NOT_NOW) -> Steps[httpx.Response]:
        """What the server says to `ask`, once it is not "not now".

        Raises `Unreachable` when the patience is spent, or at once where asking again might do a thing twice.
        """
        give_up_at = self.clock() + self.patience_s
        curve_s = FIRST_PAUSE_S
        while True:
            at_least_s = 0.0
            try:
                response = yield from sent(ask)
            except httpx.TransportError as error:
                cause: Exception = Unreachable(f"{self.server} cannot be reached: {str(error) or type(error).__name__}")
                cause.__cause__ = error
                may_ask_again = ask.is_repeatable or isinstance(error, NEVER_SENT)
            else:
                if response.status_code not in not_now:
                    return response
                cause = _not_now(response)
                may_ask_again = ask.is_repeatable or response.status_code == TOO_MANY
                at_least_s = _retry_after_s(response)
            pause_s = at_least_s + self.random.uniform(curve_s / 2, curve_s)
            if not may_ask_again or self.clock() + pause_s > give_up_at:
                raise cause
            yield Pause(pause_s)
            curve_s = min(LONGEST_PAUSE_S, curve_s * 2)

    def within(self, left_s: float) -> Self:
        """The same, with no more patience than `left_s`."""
        return replace(self, patience_s=min(self.patience_s, left_s))

    def read(self, ask: Ask, model: type[M]) -> Steps[M]:
        """The answer to `ask` as a `model`; raises `Unreachable`, `Refused` or `Garbled`."""
        response = yield from self.answer(ask)
        return read(response, model)


def read(response: httpx.Response, model: type[M]) -> M:
    """The `model` in `response`; raises `Refused` or `Garbled`."""
    check(response)
    return parse(response, model)


def parse(response: httpx.Response, model: type[M]) -> M:
    """The `model` in `response`, whatever its status; raises `Garbled`."""
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise _garbled(response) from None


def check(response: httpx.Response) -> None:
    """Raises `Refused` or `Garbled` unless `response` is a success."""
    if response.is_success:
        return
    try:
        raise Refused(Problem.model_validate_json(response.content), response.status_code)
    except ValidationError:
        raise _garbled(response) from None


def _garbled(response: httpx.Response) -> Garbled:
    return Garbled(f"{response.url} answered {response.status_code} and nothing that dibs would say")


def _not_now(response: httpx.Response) -> Unreachable:
    try:
        check(response)
    except (Refused, Garbled) as error:
        told = Unreachable(f"{response.url} says {response.status_code}, not now: {error}")
        told.__cause__ = error
        return told
    raise AssertionError("a success is an answer")


def _retry_after_s(response: httpx.Response) -> float:
    """`Retry-After` in seconds; the form with a date is not what dibs sends."""
    given = response.headers.get("Retry-After", "")
    return float(given) if given.isdecimal() else 0.0
