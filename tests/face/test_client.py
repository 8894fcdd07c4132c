"""Both faces of the client against a real server, through connections that break."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

import dibs
from dibs import Add, Dibs, DibsSync, Exhausted, Failed, Refused, Succeeded, TimedOut, Unreachable
from dibs.client import bulks
from dibs.client.connecting import KEEP_ALIVE_S
from tests.face.processes import Running, data_directory, held_back, names_in, run, serve

SURFACE = {
    "Add", "Cancelled", "Candidate", "Collection", "Dibs", "DibsError", "DibsSync", "Exhausted", "Failed", "Garbled",
    "Health", "Job", "JobSync", "JobView", "Outcome", "Problem", "Refused", "Retried", "Stats", "Status", "Succeeded",
    "TimedOut", "Unreachable", "Unsendable",
}  # fmt: skip

numbers = itertools.count()


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with data_directory() as path:
        yield path


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Running]:
    with serve(data, DIBS_MODELS="tests.models") as served:
        yield served


@pytest.fixture
def name() -> str:
    """One that nobody has."""
    return f"name-{next(numbers)}"


class Losing(httpx.BaseTransport):
    """Sends each request, and loses the answer to every second one."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self.lost = 0
        self._is_next = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        self._is_next = not self._is_next
        if self._is_next:
            response.read()
            self.lost += 1
            raise httpx.ReadError("lost on the way back")
        return response

    def close(self) -> None:
        self._inner.close()


def test_the_public_surface() -> None:
    assert set(dibs.__all__) == SURFACE
    assert all(hasattr(dibs, name) for name in SURFACE)
    assert (Path(dibs.__file__).parent / "py.typed").exists()


def test_the_two_faces_have_the_same_calls() -> None:
    def calls(face: type) -> dict[str, str | None]:
        return {name: call.__doc__ for name, call in vars(face).items() if not name.startswith("_") and callable(call)}

    for one, other in ((Dibs, DibsSync), (dibs.Job, dibs.JobSync)):
        assert calls(one) == calls(other)
    assert {"add", "add_many", "job", "jobs", "retry_all", "collections", "health", "stats"} < calls(Dibs).keys()
    assert {"outcome", "cancel", "retry", "refresh"} == calls(dibs.Job).keys()


async def test_the_first_example(running: Running, name: str) -> None:
    async with Dibs(running.url) as client:
        taken = await client.add(name, to="animals")
        assert await taken.outcome(timeout=10) == taken.known_outcome
        job = await client.add(name, f"{name}-2")
        match await job.outcome(timeout=10):
            case Succeeded(row, choice):
                assert (row["name"], choice) == (f"{name}-2", 1)
            case other:
                pytest.fail(f"{other}")
        assert (await client.job(job.id)).view == job.view
        none = await client.add(name, wait=10)
        assert none.known_outcome == Exhausted(job=none.id)


def test_the_first_example_without_await(running: Running, name: str) -> None:
    with DibsSync(running.url) as client:
        job = client.add(name, idempotency_key=name)
        assert isinstance(job.outcome(timeout=10), Succeeded)
        assert client.add(name, idempotency_key=name).id == job.id
        with pytest.raises(Refused, match="another add"):
            client.add("other", idempotency_key=name)
        refused = client.add({"handle": name}, to="handles", values={"tenant": "none", "owner": "Ada"}, wait=10)
        assert isinstance(refused.known_outcome, Failed)
        assert refused.known_outcome.problem.constraint or refused.known_outcome.problem.detail


async def test_what_there_is(running: Running) -> None:
    async with Dibs(running.url) as client:
        assert {c.name: c.key for c in await client.collections()} == {
            "animals": ["name"],
            "handles": ["tenant", "handle"],
        }
        assert (await client.health()).status == "ready"
        assert len((await client.stats()).workers) == 1


async def test_a_cancel_is_exact_and_a_timeout_leaves_the_job(running: Running, data: Path, name: str) -> None:
    async with Dibs(running.url) as client:
        with held_back(data):
            job = await client.add(name)
            with pytest.raises(TimedOut):
                await job.outcome(timeout=0.2)
        assert isinstance(await job.outcome(timeout=10), Succeeded)
        assert isinstance(await job.cancel(), Succeeded)


async def test_many_at_once_wait_for_a_connection(running: Running, name: str) -> None:
    async with Dibs(running.url) as client:
        jobs = await asyncio.gather(*(client.add(f"{name}-{n}") for n in range(300)))
        outcomes = await asyncio.gather(*(job.outcome(timeout=30) for job in jobs))
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


def test_lost_answers_add_nothing_twice(running: Running, data: Path, name: str) -> None:
    transport = Losing()
    with DibsSync(running.url, transport=transport) as client:
        job = client.add(name, f"{name}-again")
        assert job.outcome(timeout=10) == Succeeded(job.view.result or {}, 0, job=job.id)
        many = [f"{name}-{n:04}" for n in range(1500)]
        outcomes = list(client.add_many((wish, f"{wish}-again") for wish in many))
    assert transport.lost > 4
    assert [o.row["name"] for o in outcomes if isinstance(o, Succeeded)] == many
    assert [found for found in names_in(data / "dibs.db") if found.startswith(name)] == [name, *many]


async def test_an_endless_stream_is_answered_as_it_goes(running: Running, name: str) -> None:
    begun = 0

    async def endless() -> AsyncIterator[Any]:
        nonlocal begun
        for begun in itertools.count(1):  # how far it got is asked for below
            yield [f"{name}-{begun}"] if begun % 2 else Add(f"{name}-{begun}")
            await asyncio.sleep(0)

    async with Dibs(running.url) as client:
        outcomes = [outcome async for outcome, _ in azip(client.add_many(endless()), 2500)]
    assert [o.row["name"] for o in outcomes if isinstance(o, Succeeded)] == [f"{name}-{n}" for n in range(1, 2501)]
    assert begun <= 2500 + bulks.AHEAD + bulks.PART + 200, "it is read ahead without end"


async def azip(stream: AsyncIterator[Any], count: int) -> AsyncIterator[tuple[Any, int]]:
    """The first `count` of `stream`, which is closed behind them."""
    number = 0
    async for item in stream:
        number += 1
        yield item, number
        if number == count:
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
            return


async def test_a_slow_stream_is_not_held_back(running: Running, name: str) -> None:
    answered = asyncio.Event()

    async def asks_and_waits() -> AsyncIterator[str]:
        for number in range(3):
            answered.clear()
            yield f"{name}-{number}"
            await asyncio.wait_for(answered.wait(), 10)

    async with Dibs(running.url) as client:
        outcomes = []
        async for outcome in client.add_many(asks_and_waits()):
            outcomes.append(outcome)
            answered.set()
    assert len(outcomes) == 3


async def test_a_stream_that_raises_ends_with_its_error_after_its_items(running: Running, name: str) -> None:
    async def broken() -> AsyncIterator[str]:
        yield name
        raise ZeroDivisionError

    async with Dibs(running.url) as client:
        with pytest.raises(ZeroDivisionError):
            async for _ in client.add_many(broken(), key=name):
                pass
        whole = [outcome async for outcome in client.add_many([name, f"{name}-2"], key=name)]
    assert [type(outcome) for outcome in whole] == [Succeeded, Succeeded]


def test_a_stream_is_given_again_after_it_broke_off(running: Running, data: Path, name: str) -> None:
    many = [f"{name}-{n:04}" for n in range(2500)]
    with DibsSync(running.url) as client:
        broken = client.add_many(many, key=name)
        first = list(itertools.islice(broken, 10))
        del broken
        again = list(client.add_many(many, key=name))
        assert again[:10] == first
        assert list(client.add_many(iter(many), key=name)) == again
        with pytest.raises(Refused, match="line 1 was another"):
            list(client.add_many(["x", *many[1:]], key=name))
        with pytest.raises(Refused, match="2500 lines"):
            list(client.add_many(many[:-1], key=name))
    assert [o.row["name"] for o in again if isinstance(o, Succeeded)] == many
    assert [found for found in names_in(data / "dibs.db") if found.startswith(name)] == many


def test_a_bad_item_fails_alone_and_nothing_is_no_bulk(running: Running, name: str) -> None:
    with DibsSync(running.url) as client:
        outcomes = list(client.add_many([name, 5, {"nome": "x"}, f"{name}-2"]))
        assert [type(outcome) for outcome in outcomes] == [Succeeded, Failed, Failed, Succeeded]
        assert list(client.add_many([])) == []


def test_a_bulk_that_nobody_works_on_times_out(running: Running, data: Path, name: str) -> None:
    with DibsSync(running.url) as client:
        with held_back(data), pytest.raises(TimedOut, match=r"no outcome of no\. 1"):
            list(client.add_many([name], key=name, timeout=1))
        assert [type(outcome) for outcome in client.add_many([name], key=name, timeout=20)] == [Succeeded]


def test_a_server_that_is_killed_and_started_again_in_the_middle(data_dir: Path, redis_path: str) -> None:
    many = [f"n{n:05}" for n in range(4000)]
    first = serve(data_dir, path=redis_path)
    port = first.url.rpartition(":")[2]

    def stream() -> Iterator[str]:
        yield from many[:2000]
        first.kill()
        with_serve.append(serve(data_dir, path=redis_path, DIBS_PORT=port))
        yield from many[2000:]

    with_serve: list[Running] = []
    try:
        with DibsSync(first.url, patience=20) as client:
            outcomes = list(client.add_many(stream()))
    finally:
        for running in (first, *with_serve):
            running.kill()
    assert [o.row["name"] for o in outcomes if isinstance(o, Succeeded)] == many
    assert names_in(data_dir / "dibs.db") == many


def test_a_caller_who_may_not_add_more_a_second_is_slowed_down(data_dir: Path) -> None:
    made = run("keys", "create", "slow", "--rate", "100/second", DIBS_DATA_DIR=str(data_dir))
    many = [f"n{number:03}" for number in range(350)]
    with serve(data_dir) as running, DibsSync(running.url, key=made.stdout.strip()) as client:
        begun = time.monotonic()
        outcomes = list(client.add_many(many))
        took_s = time.monotonic() - begun
    assert [o.row["name"] for o in outcomes if isinstance(o, Succeeded)] == many
    assert took_s > 2, "it is not held to its rate"


async def test_nobody_there() -> None:
    async with Dibs("http://127.0.0.1:1", patience=0.3) as client:
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1 cannot be reached"):
            await client.add("Max")


def test_a_connection_is_not_kept_until_the_server_closes_it() -> None:
    assert uvicorn.Config("app").timeout_keep_alive > KEEP_ALIVE_S
