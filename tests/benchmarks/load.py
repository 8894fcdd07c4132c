"""The load generator: raw HTTP/1.1 on keep-alive connections, in a process of its own.

`python -m tests.benchmarks.load PORT --adds N` sends N adds and prints, as JSON, when the first was sent, when the
last was answered, how many answers of each status came, and how long each took.
An HTTP client library would be the slowest part of what it measures.
"""

import argparse
import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import cast

import orjson
import uvloop

HEAD = (
    "POST /add/animals HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    "{prefer}Content-Length: {length}\r\n\r\n"
)
BODY = b'{"candidates":["%s-0","%s-1","%s-2"]}'
GIVE_UP_S = 60.0
SLOWEST_PER_S = 10.0


def add_names(adds: int, prefix: str) -> Iterator[bytes]:
    """A name for each add, all of the same length; its candidates are the name with -0, -1 and -2 behind."""
    return (f"{prefix}{number:08d}".encode() for number in range(adds))


def requests(adds: int, *, port: int, prefix: str, wait_s: float) -> Iterator[bytes]:
    prefer = f"Prefer: wait={wait_s:g}\r\n" if wait_s else ""
    head = b""
    for name in add_names(adds, prefix):
        body = BODY % (name, name, name)
        head = head or HEAD.format(port=port, prefer=prefer, length=len(body)).encode()
        yield head + body


class Connection(asyncio.Protocol):
    """One request at a time; `on_answer` is called with its status, or 0 where none came, and may send the next."""

    def __init__(self) -> None:
        self.is_open = True
        self._on_answer: Callable[[int], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not say so of themselves

    def send(self, request: bytes, on_answer: Callable[[int], None]) -> None:
        assert self._transport is not None
        self._on_answer = on_answer
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._received) < end + 4 + length:
            return
        self._received = b""
        self._answered(int(head[9:12]))

    def _answered(self, status: int) -> None:
        on_answer, self._on_answer = self._on_answer, None
        assert on_answer is not None
        on_answer(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        # A server may close a connection that has nothing to do.
        if self._on_answer is not None:
            self._answered(0)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class Tally:
    """Counts the answers, and knows when the last one is there."""

    def __init__(self, adds: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.latencies_ms: list[float] = []
        self._left = adds
        self.done = asyncio.Event()

    def count(self, status: int, since: float) -> None:
        self.statuses[status] += 1
        self.latencies_ms.append((time.perf_counter() - since) * 1000)
        self._left -= 1
        # Status 0 is a connection that broke: nothing after it would be a measure of anything.
        if self._left == 0 or status == 0:
            self.done.set()


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


async def flood(port: int, load: Iterator[bytes], tally: Tally, connections: int) -> None:
    """As fast as the server answers: each connection sends its next request when it has its answer."""
    opened = [await connect(port) for _ in range(connections)]

    def send_next(connection: Connection) -> None:
        request = next(load, None)
        if request is None:
            return
        since = time.perf_counter()

        def answered(status: int) -> None:
            tally.count(status, since)
            send_next(connection)

        connection.send(request, answered)

    for connection in opened:
        send_next(connection)
    await tally.done.wait()
    for connection in opened:
        connection.close()


async def trickle(port: int, load: Iterator[bytes], tally: Tally, per_second: float) -> None:
    """So many a second, whether the server answers or not, so that a slow one hides nothing.

    A time counts from the sending: the timer of the loop is up to a millisecond early or late.
    """
    idle: deque[Connection] = deque()
    start = time.perf_counter()
    for number, request in enumerate(load):
        await asyncio.sleep(start + number / per_second - time.perf_counter())
        # In turn, so that none is idle for so long that the server closes it.
        while idle and not idle[0].is_open:
            idle.popleft()
        connection = idle.popleft() if idle else await connect(port)

        since = time.perf_counter()

        def answered(status: int, connection: Connection = connection, since: float = since) -> None:
            tally.count(status, since)
            idle.append(connection)

        connection.send(request, answered)
    await tally.done.wait()
    for connection in idle:
        connection.close()


async def run(port: int, adds: int, connections: int, per_second: float, wait_s: float, prefix: str) -> bytes:
    tally = Tally(adds)
    load = requests(adds, port=port, prefix=prefix, wait_s=wait_s)
    first_s = time.time()
    async with asyncio.timeout(GIVE_UP_S + adds / SLOWEST_PER_S):
        if per_second:
            await trickle(port, load, tally, per_second)
        else:
            await flood(port, load, tally, connections)
    return orjson.dumps(
        {
            "first_s": first_s,
            "last_s": time.time(),
            "statuses": {str(status): count for status, count in tally.statuses.items()},
            "latencies_ms": tally.latencies_ms if per_second else [],
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--adds", type=int, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--per-second", type=float, default=0)
    parser.add_argument("--wait", type=float, default=0)
    parser.add_argument("--prefix", default="a")
    given = parser.parse_args()
    loaded = run(given.port, given.adds, given.connections, given.per_second, given.wait, given.prefix)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(loaded).decode())  # noqa: T201  # its caller reads it


if __name__ == "__main__":
    main()
