"""Many callers that wait, each for a job of its own on a connection of its own.

`python -m tests.benchmarks.waiting_load PORT --callers N` adds N jobs, then asks for each of them with
`Prefer: wait` and prints, as JSON, when the answer to each came, in seconds since the epoch.
"""

import argparse
import asyncio
import time

import orjson
import uvloop

ADD = b"POST /add/animals HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
WAIT = b"GET /jobs/%s HTTP/1.1\r\nHost: a\r\nPrefer: wait=%d\r\n\r\n"
BODY = b'{"candidates":["w%08d-0","w%08d-1","w%08d-2"]}'
OPEN_AT_ONCE = 100


class Caller:
    """One connection. Raises `ConnectionError` where the answer is another than the one that is wanted."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._number = number
        self._reader = reader
        self._writer = writer
        self.job = ""

    async def add(self) -> None:
        body = BODY % (self._number, self._number, self._number)
        self.job = str(orjson.loads((await self._ask(ADD % (len(body), body), b"202"))[1])["id"])

    async def wait(self, wait_s: int) -> tuple[str, float]:
        """The job and when its outcome was there."""
        at, body = await self._ask(WAIT % (self.job.encode(), wait_s), b"200")
        if orjson.loads(body)["status"] != "succeeded":
            raise ConnectionError(f"no outcome within {wait_s} s: {body.decode()}")
        return self.job, at

    async def _ask(self, request: bytes, status: bytes) -> tuple[float, bytes]:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        at = time.time()
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        if head[9:12] != status:
            raise ConnectionError(f"{head.decode()}{body.decode()}")
        return at, body


async def run(port: int, callers: int, wait_s: int) -> bytes:
    opening = asyncio.Semaphore(OPEN_AT_ONCE)

    async def opened(number: int) -> Caller:
        async with opening:
            caller = Caller(number, *await asyncio.open_connection("127.0.0.1", port))
            await caller.add()
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
