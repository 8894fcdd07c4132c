"""Many callers that wait, each for a job of its own on a connection of its own.

`python -m tests.benchmarks.waiting_load PORT --callers N` adds N jobs, then asks for each of them with
`Prefer: wait` and prints, as JSON, when the answer to each came, in seconds since the epoch.
"""

import argparse
import asyncio
import time
from typing import Any, cast

import orjson
import uvloop

ADD = b"POST /add/animals HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
WAIT = b"GET /jobs/%s HTTP/1.1\r\nHost: a\r\nPrefer: wait=%d\r\n\r\n"
BODY = b'{"candidates":["w%08d-0","w%08d-1","w%08d-2"]}'
OPEN_AT_ONCE = 100


class Caller(asyncio.Protocol):
    """One connection, one request at a time. Notes when an answer came before it reads it: a thousand come at once."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[float] | None = None
        self.job = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not say so of themselves

    def data_received(self, data: bytes) -> None:
        self._received += data
        assert self._answer is not None
        if data.endswith(b"}") and not self._answer.done():
            self._answer.set_result(time.time())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server closed the connection"))

    async def add(self, number: int) -> None:
        body = BODY % (number, number, number)
        _, job = await self._ask(ADD % (len(body), body), b"202")
        self.job = job["id"]

    async def wait(self, wait_s: int) -> tuple[str, float]:
        """The job and when its outcome was there."""
        at, job = await self._ask(WAIT % (self.job.encode(), wait_s), b"200")
        if job["status"] != "succeeded":
            raise ConnectionError(f"no outcome within {wait_s} s: {job}")
        return self.job, at

    async def _ask(self, request: bytes, status: bytes) -> tuple[float, dict[str, Any]]:
        assert self._transport is not None
        self._received, self._answer = b"", asyncio.get_running_loop().create_future()
        self._transport.write(request)
        at = await self._answer
        head, _, body = self._received.partition(b"\r\n\r\n")
        if head[9:12] != status:
            raise ConnectionError(self._received.decode())
        return at, orjson.loads(body)


async def run(port: int, callers: int, wait_s: int) -> bytes:
    opening = asyncio.Semaphore(OPEN_AT_ONCE)

    async def opened(number: int) -> Caller:
        async with opening:
            _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port)
            await caller.add(number)
            return caller

    ready = await asyncio.gather(*(opened(number) for number in range(callers)))
    return orjson.dumps(dict(await asyncio.gather(*(caller.wait(wait_s) for caller in ready))))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--callers", type=int, required=True)
    parser.add_argument("--wait", type=int, default=30)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(run(given.port, given.callers, given.wait)).decode())  # noqa: T201  # its caller reads it


if __name__ == "__main__":
    main()
