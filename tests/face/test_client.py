"""The client against a server that is a function: what it asks, what it reads, when it asks again."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest

from dibs.client import TRIES, Client, Garbled, Refused, Unreachable, Unsendable
from shared.contract import JobView, Links, Status
from shared.problems import FieldError, Kind, Problem, problem

URL = "http://dibs.test/base"
ID = uuid4()

Answer = httpx.Response | httpx.TransportError


def view(status: Status = Status.SUCCEEDED) -> JobView:
    return JobView(
        id=ID, collection="animals", status=status, submitted_at=datetime.now(UTC), links=Links.of(ID, "animals")
    )


def told(job: JobView) -> httpx.Response:
    return httpx.Response(200, text=job.model_dump_json())


def refused(because: Problem, **headers: str) -> httpx.Response:
    return httpx.Response(because.status or 500, text=because.model_dump_json(exclude_none=True), headers=headers)


class Server:
    """Gives `answers` in turn, the last one for ever; keeps what it was asked and how long the client paused.

    Time passes by pauses, and by `takes_s` for each request.
    """

    def __init__(self, *answers: Answer, takes_s: Callable[[httpx.Request], float] = lambda _: 0.0) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.paused: list[float] = []
        self.now = 0.0
        self._takes_s = takes_s

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.now += self._takes_s(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.now += seconds

    def client(self) -> Client:
        return Client(URL, transport=httpx.MockTransport(self), sleep=self._pause, clock=lambda: self.now)


def test_an_add_says_what_was_asked_for() -> None:
    server = Server(told(view()))
    server.client().submit(["Max", {"name": "Cody"}], values={"age": 3}, collection="a/b", key='k"\\', wait_s=2.5)
    [asked] = server.asked
    assert (asked.method, asked.url.raw_path) == ("POST", b"/base/add/a%2Fb")
    assert json.loads(asked.content) == {"candidates": ["Max", {"name": "Cody"}], "values": {"age": 3}}
    assert asked.headers["Idempotency-Key"] == r'"k\"\\"'
    assert asked.headers["Prefer"] == "wait=3"
    assert asked.headers["Content-Type"] == "application/json"


def test_without_candidates_there_is_no_body() -> None:
    server = Server(told(view()))
    server.client().submit()
    [asked] = server.asked
    assert (asked.url.path, asked.content) == ("/base/add", b"")
    assert "Content-Type" not in asked.headers
    assert "Prefer" not in asked.headers


def test_each_add_has_a_key_of_its_own() -> None:
    server = Server(told(view()))
    client = server.client()
    client.submit(["Max"])
    client.submit(["Max"])
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 2


def test_a_key_is_sent_with_every_request() -> None:
    server = Server(told(view()))
    with Client(URL, api_key=" dibs_x \n", transport=httpx.MockTransport(server)) as client:
        client.submit(["Max"])
        client.job(ID)
    assert [asked.headers["Authorization"] for asked in server.asked] == ["Bearer dibs_x"] * 2
    server.client().job(ID)
    assert "Authorization" not in server.asked[-1].headers


def test_a_lost_connection_is_tried_again_with_the_same_key() -> None:
    server = Server(httpx.ReadError("lost"), httpx.ConnectError("refused"), told(view()))
    assert server.client().submit(["Max"]) == view().model_copy(
        update={"submitted_at": server.client().job(ID).submitted_at}
    )
    keys = [asked.headers["Idempotency-Key"] for asked in server.asked[:3]]
    assert len(set(keys)) == 1
    assert server.paused == [0.1, 0.2]


def test_it_gives_up_in_the_end() -> None:
    server = Server(httpx.ConnectError("refused"))
    with pytest.raises(Unreachable, match="refused"):
        server.client().job(ID)
    assert len(server.asked) == TRIES


@pytest.mark.parametrize(
    ("retry_after", "paused"), [({"Retry-After": "2"}, 2.0), ({"Retry-After": "900"}, 5.0), ({}, 0.1)]
)
def test_not_now_is_asked_again_when_the_server_says(retry_after: dict[str, str], paused: float) -> None:
    server = Server(refused(problem(Kind.QUEUE_FULL, "full"), **retry_after), told(view()))
    server.client().submit(["Max"])
    assert server.paused == [paused]


def test_not_now_for_ever_is_unreachable() -> None:
    server = Server(refused(problem(Kind.QUEUE_AWAY, "nothing was taken in")))
    with pytest.raises(Unreachable, match="503, not now: nothing was taken in"):
        server.client().submit(["Max"])
    assert len(server.asked) == TRIES


def test_a_refusal_comes_with_its_problem_and_at_once() -> None:
    because = problem(Kind.INVALID, "wrong", errors=[FieldError(pointer="/candidates/0", detail="too long")])
    server = Server(refused(because))
    with pytest.raises(Refused) as caught:
        server.client().submit(["Max"])
    assert (caught.value.problem, caught.value.status) == (because, 422)
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(404, text="{}")])
def test_somebody_else_answers(answer: httpx.Response) -> None:
    with pytest.raises(Garbled):
        Server(answer).client().job(ID)


def test_a_wait_lets_the_server_hold_the_answer() -> None:
    def takes_s(request: httpx.Request) -> float:
        return float(request.headers["Prefer"].removeprefix("wait="))

    server = Server(told(view(Status.QUEUED)), told(view(Status.RUNNING)), told(view()), takes_s=takes_s)
    assert server.client().wait(ID, timeout_s=60).status is Status.SUCCEEDED
    assert [asked.headers["Prefer"] for asked in server.asked] == ["wait=25", "wait=25", "wait=10"]
    assert server.paused == []


def test_a_wait_ends_in_time_and_does_not_hurry_a_server_that_holds_nothing() -> None:
    server = Server(told(view(Status.QUEUED)), takes_s=lambda _: 0.01)
    assert server.client().wait(ID, timeout_s=3).status is Status.QUEUED
    assert len(server.asked) <= 5
    assert server.now < 3.1


def test_a_submit_waits_on_where_the_server_stopped_waiting() -> None:
    server = Server(told(view(Status.QUEUED)), told(view()), takes_s=lambda _: 1.0)
    assert server.client().submit(["Max"], wait_s=5).status is Status.SUCCEEDED
    assert [(asked.method, asked.headers["Prefer"]) for asked in server.asked] == [
        ("POST", "wait=5"),
        ("GET", "wait=4"),
    ]


@pytest.mark.parametrize("url", ["", "dibs", "ftp://dibs", "http://", "http://a:b"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Unsendable):
        Client(url)


@pytest.mark.parametrize("candidate", ["\udcff", {"name": float("nan")}, {"name": object()}])
def test_what_is_no_json(candidate: object) -> None:
    server = Server(told(view()))
    with pytest.raises(Unsendable):
        server.client().submit([candidate])  # type: ignore[list-item]  # that is the point
    assert server.asked == []
