"""So many adds a second, whether anybody answers or not, in a process of its own.

`python -m tests.chaos.flood PORT --per-second N --seconds N` prints, as JSON, how many answers of each status came
and how long the accepted took. A request for which every connection is still busy is not sent, and counted as such.
"""

import argparse
import asyncio
import time
from collections import Counter, deque
from contextlib import suppress

import orjson
import uvloop

from tests.benchmarks.load import Connection, connect, requests
from tests.waiting import until

CONNECTIONS = 2000
LAST_ANSWERS_S = 30.0
TICK_S = 0.005


class Flood:
    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[Connection] = deque()
        self._open = 0
        self._busy = 0
        self.statuses: Counter[str] = Counter()
        self.accepted_ms: list[float] = []

    async def run(self, load: list[bytes], per_second: float) -> None:
        start = time.perf_counter()
        sent = 0
        while sent < len(load):
            due = min(len(load), int((time.perf_counter() - start) * per_second))
            for request in load[sent:due]:
                await self._send(request)
            sent = max(sent, due)
            await asyncio.sleep(TICK_S)
        with suppress(TimeoutError):
            await until(self._is_answered, patience_s=LAST_ANSWERS_S)
        self.statuses["no answer"] += self._busy

    async def _is_answered(self) -> bool:
        return not self._busy

    async def _send(self, request: bytes) -> None:
        while self._idle and not self._idle[0].is_open:
            self._idle.popleft()
            self._open -= 1
        if self._idle:
            connection = self._idle.popleft()
        elif self._open < CONNECTIONS:
            try:
                connection = await connect(self._port)
            except OSError:
                self.statuses["no connection"] += 1
                return
            self._open += 1
        else:
            self.statuses["not sent"] += 1
            return
        since = time.perf_counter()
        self._busy += 1

        def answered(status: int) -> None:
            self._busy -= 1
            self.statuses[str(status) if status else "broken connection"] += 1
            if status == 202:
                self.accepted_ms.append((time.perf_counter() - since) * 1000)
            if connection.is_open:
                self._idle.append(connection)
            else:
                self._open -= 1

        connection.send(request, answered)


async def run(port: int, per_second: float, seconds: float, prefix: str) -> bytes:
    load = list(requests(round(per_second * seconds), port=port, prefix=prefix, wait_s=0))
    flood = Flood(port)
    begun = time.time()
    await flood.run(load, per_second)
    answer = {"statuses": dict(flood.statuses), "accepted_ms": flood.accepted_ms, "lasted_s": time.time() - begun}
    return orjson.dumps(answer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--per-second", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--prefix", default="f")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(run(given.port, given.per_second, given.seconds, given.prefix)).decode())  # noqa: T201  # its caller reads it


if __name__ == "__main__":
    main()
