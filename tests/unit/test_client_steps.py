"""The client without the I/O: what it asks, what it reads, when it asks again."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dibs.client import bulks, calls, requests
from dibs.client.address import HERE
from dibs.client.asking import PATIENCE_S
from dibs.client.connecting import options
from dibs.client.errors import Garbled, Refused, TimedOut, Unreachable, Unsendable
from dibs.client.outcomes import Cancelled, Exhausted, Failed, Succeeded
from dibs.client.requests import Add, as_line
from dibs.client.steps import Ask
from shared.contract import JobView, Links, Status
from shared.problems import FieldError, Kind, Problem, problem
from tests.unit.talk import HeldHere, Talk

ID = uuid4()


def view(status: Status = Status.SUCCEEDED, **more: Any) -> JobView:
    if status is Status.SUCCEEDED:
        more = {"result": {"id": 2, "name": "Cody"}, "choice": 1} | more
    links = Links.of(ID, "animals")
    return JobView(id=ID, collection="animals", status=status, submitted_at=datetime.now(UTC), links=links, **more)


def told(job: JobView, status: int = 200) -> httpx.Response:
    return httpx.Response(status, text=job.model_dump_json())


def refused(because: Problem, **headers: str) -> httpx.Response:
    return httpx.Response(because.status or 500, text=because.model_dump_json(), headers=headers)


def test_an_add_says_what_was_asked_for() -> None:
    talk = Talk(told(view()))
    talk.run(
        calls.add(talk.asking, "Max", {"name": "Cody"}, values={"age": 3}, to="a/b", idempotency_key='k"\\', wait=2.5)
    )
    [asked] = talk.asked
    assert (asked.method, asked.path, asked.wait_s) == ("POST", "/add/a%2Fb", 2)
    assert json.loads(asked.content or b"") == {"candidates": ["Max", {"name": "Cody"}], "values": {"age": 3}}
    assert asked.headers["Idempotency-Key"] == r'"k\"\\"'
    assert asked.headers["Prefer"] == "wait=2"
    assert asked.headers["Content-Type"] == "application/json"


def test_without_candidates_there_is_no_body() -> None:
    talk = Talk(told(view()))
    talk.run(calls.add(talk.asking))
    [asked] = talk.asked
    assert (asked.path, asked.content, list(asked.headers)) == ("/add", None, ["Idempotency-Key"])


def test_each_add_has_a_key_of_its_own() -> None:
    talk = Talk(told(view()))
    for _ in range(2):
        talk.run(calls.add(talk.asking, "Max"))
    assert len({asked.headers["Idempotency-Key"] for asked in talk.asked}) == 2


def test_a_lost_connection_is_tried_again_with_the_same_key_and_ever_later() -> None:
    talk = Talk(httpx.ReadError("lost"), httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), told(view()))
    talk.run(calls.add(talk.asking, "Max"))
    assert len(talk.asked) == 4
    assert len({asked.headers["Idempotency-Key"] for asked in talk.asked}) == 1
    assert all(curve / 2 <= paused <= curve for curve, paused in zip((0.1, 0.2, 0.4), talk.paused, strict=True))


def test_the_pauses_are_not_the_same_for_all() -> None:
    paused = []
    for _ in range(20):
        talk = Talk(httpx.ConnectError("refused"), told(view()))
        talk.run(calls.add(talk.asking, "Max"))
        paused += talk.paused
    assert len(set(paused)) > 10


def test_it_gives_up_when_its_patience_is_spent() -> None:
    talk = Talk(httpx.ConnectError("refused"))
    with pytest.raises(Unreachable, match=r"http://dibs\.test cannot be reached: refused"):
        talk.run(calls.job(talk.asking, ID))
    assert PATIENCE_S / 2 < talk.now <= PATIENCE_S


@pytest.mark.parametrize(("retry_after", "at_least_s"), [({"Retry-After": "2"}, 2.0), ({}, 0.05)])
def test_not_now_is_asked_again_when_the_server_says(retry_after: dict[str, str], at_least_s: float) -> None:
    talk = Talk(refused(problem(Kind.QUEUE_FULL, "full"), **retry_after), told(view()))
    talk.run(calls.add(talk.asking, "Max"))
    assert at_least_s <= talk.paused[0] <= at_least_s + 0.1


def test_not_now_for_longer_than_its_patience_is_told_at_once() -> None:
    talk = Talk(refused(problem(Kind.QUEUE_AWAY, "nothing was taken in"), **{"Retry-After": "900"}))
    with pytest.raises(Unreachable, match="503, not now: nothing was taken in"):
        talk.run(calls.add(talk.asking, "Max"))
    assert (len(talk.asked), talk.now) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "asked"), [(httpx.ReadError("lost"), 1), (httpx.ConnectError("refused"), 2), (httpx.Response(502), 1)]
)
def test_what_is_not_safe_to_repeat_is_sent_again_only_if_it_never_arrived(
    answer: httpx.Response | httpx.TransportError, asked: int
) -> None:
    talk = Talk(answer, told(view()))
    steps = talk.asking.read(Ask("POST", "/once", is_repeatable=False), JobView)
    if asked == 1:
        with pytest.raises(Unreachable):
            talk.run(steps)
    else:
        talk.run(steps)
    assert len(talk.asked) == asked


def test_a_refusal_comes_with_its_problem_and_at_once() -> None:
    because = problem(Kind.INVALID, "wrong", errors=[FieldError(pointer="/candidates/0", detail="too long")])
    talk = Talk(refused(because))
    with pytest.raises(Refused) as caught:
        talk.run(calls.add(talk.asking, "Max"))
    assert (caught.value.problem, caught.value.status, len(talk.asked)) == (because, 422, 1)


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(404, text="{}")])
def test_somebody_else_answers(answer: httpx.Response) -> None:
    talk = Talk(answer)
    for steps in (calls.job(talk.asking, ID), calls.health(talk.asking), calls.cancel(talk.asking, HeldHere(view()))):
        with pytest.raises(Garbled):
            talk.run(steps)


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (view(), Succeeded({"id": 2, "name": "Cody"}, 1, job=ID)),
        (view(Status.EXHAUSTED), Exhausted(job=ID)),
        (view(Status.CANCELLED), Cancelled(job=ID)),
        (view(Status.FAILED, error=problem(Kind.POISON, "died")), Failed(problem(Kind.POISON, "died"), job=ID)),
    ],
    ids=lambda value: value.status if isinstance(value, JobView) else "",
)
def test_each_outcome_has_its_type(ended: JobView, outcome: object) -> None:
    talk = Talk(told(ended))
    held = HeldHere(view(Status.QUEUED))
    assert talk.run(calls.outcome(talk.asking, held)) == outcome
    assert held.view == ended
    assert talk.run(calls.outcome(talk.asking, held)) == outcome
    assert len(talk.asked) == 1, "what has ended is not asked for again"


def test_a_success_without_its_row_is_garbled() -> None:
    talk = Talk(told(view(result=None)))
    with pytest.raises(Garbled):
        talk.run(calls.outcome(talk.asking, HeldHere(view(Status.QUEUED))))


def test_a_wait_lets_the_server_hold_the_answer() -> None:
    talk = Talk(told(view(Status.QUEUED)), told(view(Status.RUNNING)), told(view()), takes_s=lambda ask: ask.wait_s)
    talk.run(calls.outcome(talk.asking, HeldHere(view(Status.QUEUED)), timeout=60))
    assert [asked.headers["Prefer"] for asked in talk.asked] == ["wait=25", "wait=25", "wait=10"]
    assert talk.paused == []


@pytest.mark.parametrize("timeout", [0.0, 0.2, 1.0, 3.7])
def test_a_wait_ends_in_time_and_leaves_the_job(timeout: float) -> None:
    talk = Talk(told(view(Status.QUEUED)), takes_s=lambda ask: ask.wait_s + 0.001)
    with pytest.raises(TimedOut, match="is queued after") as caught:
        talk.run(calls.outcome(talk.asking, HeldHere(view(Status.QUEUED)), timeout=timeout))
    assert caught.value.job is not None
    assert caught.value.job.id == ID
    assert timeout <= talk.now < timeout + 0.1
    assert len(talk.asked) < 25


def test_a_server_that_holds_nothing_is_not_hurried() -> None:
    talk = Talk(told(view(Status.QUEUED)), takes_s=lambda _: 0.01)
    with pytest.raises(TimedOut):
        talk.run(calls.outcome(talk.asking, HeldHere(view(Status.QUEUED)), timeout=30))
    assert len(talk.asked) < 60


def test_a_wait_outlives_a_server_that_is_away_for_longer_than_the_patience() -> None:
    away = [httpx.ConnectError("refused")] * 12
    talk = Talk(*away, told(view()))
    talk.run(calls.outcome(talk.asking, HeldHere(view(Status.QUEUED)), timeout=120))
    assert talk.now > PATIENCE_S * 0.8  # the pauses have jitter


def test_a_wait_for_a_server_that_stays_away_ends_in_time() -> None:
    talk = Talk(httpx.ConnectError("refused"))
    with pytest.raises(TimedOut, match=r"is queued after 25 seconds, as far as is known: .* refused") as caught:
        talk.run(calls.outcome(talk.asking, HeldHere(view(Status.QUEUED)), timeout=25))
    assert isinstance(caught.value.__cause__, Unreachable)
    assert talk.now == pytest.approx(25, abs=0.1)


def test_without_an_end_it_waits_for_a_server_that_is_away_as_long_as_it_has_patience() -> None:
    talk = Talk(httpx.ConnectError("refused"))
    with pytest.raises(Unreachable):
        talk.run(calls.outcome(talk.asking, HeldHere(view(Status.QUEUED))))
    assert talk.now <= PATIENCE_S


def test_an_add_that_was_taken_in_is_an_answer_whatever_becomes_of_the_wait() -> None:
    talk = Talk(told(view(Status.QUEUED), 202), httpx.ConnectError("refused"))
    held = talk.run(calls.add(talk.asking, "Max", wait=5))
    assert held.view.status is Status.QUEUED


def test_too_late_to_cancel_is_the_outcome_that_it_had() -> None:
    body = problem(Kind.TOO_LATE, "the job has succeeded").model_dump() | {"job": view().model_dump(mode="json")}
    talk = Talk(httpx.Response(409, text=json.dumps(body)))
    assert talk.run(calls.cancel(talk.asking, HeldHere(view(Status.QUEUED)))) == Succeeded(
        {"id": 2, "name": "Cody"}, 1, job=ID
    )


def test_jobs_come_page_after_page_up_to_the_limit() -> None:
    def page(count: int, cursor: str | None) -> httpx.Response:
        jobs = [view().model_dump(mode="json")] * count
        return httpx.Response(200, text=json.dumps({"jobs": jobs, "next": cursor}))

    talk = Talk(page(100, "a"), page(30, "b"), page(100, "c"), page(20, "d"))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    talk.run(calls.jobs(talk.asking, status=Status.FAILED, since=since, limit=250))
    assert len(talk.given) == 250
    assert [asked.query.get("cursor") for asked in talk.asked] == [None, "a", "b", "c"]
    assert [asked.query["limit"] for asked in talk.asked] == ["100", "100", "100", "20"]
    assert talk.asked[0].query["status"] == ["failed"]
    assert talk.asked[0].query["since"] == "2026-01-01T00:00:00+00:00"


def test_a_time_without_a_zone_is_no_time() -> None:
    talk = Talk(told(view()))
    with pytest.raises(Unsendable):
        talk.run(calls.jobs(talk.asking, since=datetime(2026, 1, 1) + timedelta()))  # noqa: DTZ001  # the point
    assert talk.asked == []


@pytest.mark.parametrize("url", ["dibs", "ftp://dibs", "http://", "http://a:b"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Unsendable):
        options(url, None)


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIBS_URL", raising=False)
    monkeypatch.delenv("DIBS_API_KEY", raising=False)
    assert (options(None, None)["base_url"], options(None, None)["headers"]) == (HERE, {})
    monkeypatch.setenv("DIBS_URL", "https://dibs.test")
    monkeypatch.setenv("DIBS_API_KEY", "dibs_key")
    assert options(None, None)["base_url"] == "https://dibs.test"
    assert options(None, None)["headers"] == {"Authorization": "Bearer dibs_key"}
    assert options(HERE, "other")["headers"] == {"Authorization": "Bearer other"}


def test_no_error_shows_the_api_key() -> None:
    with pytest.raises(Unsendable) as caught:
        options(None, "schlüssel\n")
    assert "schl" not in str(caught.value)


@pytest.mark.parametrize("candidate", ["\udcff", {"name": float("nan")}, {"name": object()}])
def test_what_is_no_json(candidate: Any) -> None:
    talk = Talk(told(view()))
    with pytest.raises(Unsendable):
        talk.run(calls.add(talk.asking, candidate))
    assert talk.asked == []


@pytest.mark.parametrize("key", ["", "x" * 256, "Schlüssel", "a\nb"])
def test_what_is_no_idempotency_key(key: str) -> None:
    with pytest.raises(Unsendable):
        requests.to_add(["Max"], None, None, key, 0)


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ("Max", b'{"candidates": ["Max"]}'),
        (5, b'{"candidates": [5]}'),
        ({"name": "Max"}, b'{"candidates": [{"name": "Max"}]}'),
        (["Max", "Cody"], b'{"candidates": ["Max", "Cody"]}'),
        (Add("Max", values={"age": 3}), b'{"candidates": ["Max"], "values": {"age": 3}}'),
    ],
)
def test_what_can_be_one_of_many(wish: requests.Wish, line: bytes) -> None:
    assert as_line(wish, 1) == line


def test_what_cannot_is_told_with_its_number() -> None:
    for wish in (None, b"Max", {"name": float("inf")}):
        with pytest.raises(Unsendable, match=r"no\. 7: "):
            as_line(wish, 7)  # type: ignore[arg-type]  # the point


def test_a_part_of_a_bulk_has_an_end() -> None:
    part = bulks.Part(0)
    assert [part.take("x" * 200_000) for _ in range(3)] == [True, True, False]
    part = bulks.Part(0)
    assert sum(1 for number in range(bulks.PART) if part.take(number)) == bulks.PART - 1


def test_a_slow_server_is_sent_less_at_a_time() -> None:
    pace = bulks.Pace()
    for _ in range(5):
        pace.took(0.1)
    assert pace.lines == bulks.PART
    pace.took(2.0)
    assert pace.lines == bulks.PART
    for _ in range(20):
        pace.took(10.0)
    assert pace.lines == 1
