"""A dialogue without a network: a server that is a list of answers, and a clock that moves by pauses and by asking."""

from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from dibs.client.asking import Asking, Held
from dibs.client.steps import Ask, Done, Give, Gives, Pause, Steps, proceed
from shared.contract import JobView

T = TypeVar("T")

URL = "http://dibs.test"

Answer = httpx.Response | httpx.TransportError


class HeldHere(Held):
    def __init__(self, view: JobView) -> None:
        self.view = view


class Talk:
    """Gives `answers` in turn, the last one for ever; keeps what was asked and how long was paused."""

    def __init__(self, *answers: Answer, takes_s: Callable[[Ask], float] = lambda _: 0.0) -> None:
        self.answers = list(answers)
        self.asked: list[Ask] = []
        self.paused: list[float] = []
        self.given: list[Any] = []
        self.now = 0.0
        self._takes_s = takes_s
        self.asking = Asking(HeldHere, URL, clock=lambda: self.now)

    def run(self, steps: Steps[T] | Gives[Any]) -> T:
        came: Any = None
        while not isinstance(step := proceed(steps, came), Done):
            came = None
            match step:
                case Ask():
                    came = self._answer(step)
                case Pause(seconds):
                    self.paused.append(seconds)
                    self.now += seconds
                case Give():
                    self.given.append(step.value)
                case _:
                    raise AssertionError(step)
        returned: T = step.value
        return returned

    def _answer(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        self.now += self._takes_s(ask)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.Response):
            answer.request = httpx.Request(ask.method, URL + ask.path)
        return answer
