"""What comes before a body: bounded in size, in number and in time, whoever sends it."""

from collections.abc import AsyncIterator

import pytest

from shared.database import Database
from shared.queue import Queue
from tests.limits.connection import Server, listening

URL, HEADERS, COUNT = 512, 2048, 20
SOON_S = 0.2

LIVE = b"GET /health/live HTTP/1.1\r\nHost: dibs\r\n"
END = b"\r\n"


@pytest.fixture
async def server(sqlite_database: Database, fake_queue: Queue) -> AsyncIterator[Server]:
    async with listening(
        sqlite_database,
        fake_queue,
        max_url_bytes=URL,
        max_header_bytes=HEADERS,
        max_headers=COUNT,
        header_timeout_s=SOON_S,
    ) as made:
        yield made


def header(name: str, size: int) -> bytes:
    """A header field of `size` bytes, without what separates it."""
    return f"{name}: {'x' * (size - len(name))}\r\n".encode()


async def test_headers_may_be_as_large_as_the_limit(server: Server) -> None:
    rest = HEADERS - len("Host") - len("dibs")
    assert (await server.ask(LIVE + header("X-Large", rest) + END)).status == 200


async def test_headers_that_are_larger_are_a_431(server: Server) -> None:
    rest = HEADERS - len("Host") - len("dibs")
    answer = await server.ask(LIVE + header("X-Large", rest + 1) + END)
    assert (answer.status, answer.problem) == (431, "headers-too-large")
    assert str(HEADERS).encode() in answer.body


async def test_there_may_be_as_many_headers_as_the_limit(server: Server) -> None:
    assert (await server.ask(LIVE + b"X: y\r\n" * (COUNT - 1) + END)).status == 200


async def test_more_headers_are_a_431(server: Server) -> None:
    answer = await server.ask(LIVE + b"X: y\r\n" * COUNT + END)
    assert (answer.status, answer.problem) == (431, "headers-too-large")


async def test_a_header_that_never_ends_is_a_431(server: Server) -> None:
    async with server.connection() as connection:
        await connection.say(LIVE + b"X-Endless: ")
        for _ in range(3):
            await connection.say(b"x" * HEADERS)
        answer = await connection.answer()
        assert (answer.status, answer.problem) == (431, "headers-too-large")
        assert await connection.is_closed()


async def test_an_address_may_be_as_long_as_the_limit(server: Server) -> None:
    path = b"/health/live?"
    address = path + b"x" * (URL - len(path))
    assert (await server.ask(b"GET " + address + b" HTTP/1.1\r\nHost: dibs\r\n\r\n")).status == 200


async def test_an_address_that_is_longer_is_a_414(server: Server) -> None:
    path = b"/health/live?"
    address = path + b"x" * (URL - len(path) + 1)
    answer = await server.ask(b"GET " + address + b" HTTP/1.1\r\nHost: dibs\r\n\r\n")
    assert (answer.status, answer.problem) == (414, "url-too-long")
    assert str(URL).encode() in answer.body


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"FROBNICATE / HTTP/1.1\r\nHost: dibs\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: dibs\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost dibs\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad\0Name: x\r\n\r\n",
        b"CONNECT dibs:80 HTTP/1.1\r\nHost: dibs\r\n\r\n",
        b"POST /add HTTP/1.1\r\nHost: dibs\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /add HTTP/1.1\r\nHost: dibs\r\nContent-Length: -1\r\n\r\n",
        b"POST /add HTTP/1.1\r\nHost: dibs\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /add HTTP/1.1\r\nHost: dibs\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_a_400_that_is_a_problem(server: Server, text: bytes) -> None:
    async with server.connection() as connection:
        await connection.say(text)
        answer = await connection.answer()
        assert (answer.status, answer.problem) == (400, "malformed")
        assert await connection.is_closed()


@pytest.mark.parametrize("host", [b"[", b"", b"a:b:c", b"\xff", b"x" * 300])
async def test_a_host_that_makes_no_sense_breaks_nothing(server: Server, host: bytes) -> None:
    answer = await server.ask(b"GET /nowhere HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert (answer.status, answer.problem) == (404, "not-found")


async def test_headers_that_do_not_come_in_time_are_a_408(server: Server) -> None:
    async with server.connection() as connection:
        await connection.say(b"GET /health/live HTTP/1.1\r\nHo")
        answer = await connection.answer()
        assert (answer.status, answer.problem) == (408, "too-slow")
        assert await connection.is_closed()


async def test_headers_that_come_byte_by_byte_are_a_408_all_the_same(server: Server) -> None:
    async with server.connection() as connection:
        for byte in LIVE + b"X: " + b"y" * 30:
            await connection.say(bytes([byte]))
        answer = await connection.answer()
    assert (answer.status, answer.problem) == (408, "too-slow")


async def test_a_connection_that_says_nothing_is_closed(server: Server) -> None:
    async with server.connection() as connection:
        assert await connection.is_closed()


async def test_a_connection_that_says_only_empty_lines_after_an_answer_is_closed(server: Server) -> None:
    async with server.connection() as connection:
        await connection.say(LIVE + END)
        assert (await connection.answer()).status == 200
        await connection.say(b"\r\n\r\n")
        assert await connection.is_closed()


async def test_a_connection_takes_one_request_after_the_other(server: Server) -> None:
    async with server.connection() as connection:
        for _ in range(3):
            await connection.say(LIVE + END)
            assert (await connection.answer()).status == 200
        await connection.say((LIVE + END) * 3)
        assert [(await connection.answer()).status for _ in range(3)] == [200, 200, 200]


async def test_requests_sent_far_ahead_end_the_connection(server: Server) -> None:
    async with server.connection() as connection:
        await connection.say((LIVE + END) * 500)
        answers = 0
        try:
            while (await connection.answer()).status == 200:
                answers += 1
        except (EOFError, ConnectionError):
            pass
    assert answers < 500


async def test_a_late_header_does_not_end_the_answer_before_it(server: Server) -> None:
    async with server.connection() as connection:
        await connection.say(
            b"POST /add HTTP/1.1\r\nHost: dibs\r\nPrefer: wait=1\r\nContent-Length: 0\r\n\r\nGET /heal"
        )
        assert (await connection.answer()).status == 202


async def test_trailers_are_bounded_and_no_headers(server: Server) -> None:
    chunked = b"POST /add HTTP/1.1\r\nHost: dibs\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert (await server.ask(chunked + b"Idempotency-Key: two words\r\nContent-Type: x\r\n\r\n")).status == 202
    answer = await server.ask(chunked + b"X: y\r\n" * COUNT + END)
    assert (answer.status, answer.problem) == (431, "headers-too-large")


async def test_what_follows_on_an_early_answer_is_not_read_for_ever(server: Server) -> None:
    async with server.connection() as connection:
        await connection.say(b"POST /add/plants HTTP/1.1\r\nHost: dibs\r\nContent-Length: 1000000\r\n\r\nx")
        assert (await connection.answer()).status == 404
        await connection.say(b"x")
        assert await connection.is_closed()


async def test_an_upgrade_is_declined_and_the_body_is_read(server: Server) -> None:
    body = b'{"candidates": ["Upgraded"]}'
    head = f"POST /add HTTP/1.1\r\nHost: dibs\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    for upgrade in ("h2c", "websocket"):
        more = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\nPrefer: wait=0\r\n\r\n"
        assert (await server.ask(head.encode() + more.encode() + body)).status == 202
