"""bulk: one POST /bulk/animals, from the first byte to the last commit."""

import asyncio
import socket
import time

from tests.benchmarks.bench import Bench
from tests.benchmarks.contenders import DIBS
from tests.benchmarks.doors import dibs_door
from tests.benchmarks.load import BODY, add_names
from tests.benchmarks.measure_drain import WHAT as DRAIN
from tests.benchmarks.measure_http import WARM_UP, warmed_up
from tests.benchmarks.processes import Broken, running

WHAT = "POST /bulk/animals, until the last commit"
HEAD = "POST /bulk/animals HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-ndjson\r\n"
LENGTH = "Content-Length: {length}\r\nConnection: close\r\n\r\n"
PATIENCE_S = 300.0
SLICE = 64 * 1024


async def measure(bench: Bench) -> None:
    if "dibs" not in {contender.name for contender in bench.contenders}:
        return
    for _ in range(bench.scale.rounds):
        per_second = await _per_second(bench)
        if per_second is None:
            return
        bench.figures.add("bulk", WHAT, "dibs", "adds/s", per_second, f"{bench.scale.bulk_adds} adds in one request")
        bench.tell(f"bulk: dibs: {per_second:.0f} adds/s")
    reached = bench.figures.median("bulk", WHAT, "dibs") or 0
    bench.figures.demand("bulk", reached, "at least", 15_000, "adds/s")
    if best := bench.figures.best("drain", DRAIN, bench.rivals()):
        bench.figures.demand(f"bulk, against {best.contender} draining", reached / best.median, "at least", 20, "x")


async def _per_second(bench: Bench) -> float | None:
    adds = bench.scale.bulk_adds
    body = b"".join(BODY % (name, name, name) + b"\n" for name in add_names(adds, "a"))
    async with bench.ground.stage() as stage:
        async with dibs_door(stage) as door, running(DIBS.worker(stage, adds)) as worker:
            await warmed_up(stage, door, worker)
            first_s = time.time()
            status = await asyncio.to_thread(_post, door.port, body)
            if status in {404, 405}:
                bench.figures.remark(f"bulk: POST /bulk/animals answers {status}, there is no such route yet")
                return None
            if status != 202:
                raise Broken(f"POST /bulk/animals was answered with {status}:\n{door.process.said()}")
            await stage.until(adds + WARM_UP, within_s=PATIENCE_S, alive=worker.check)
        await stage.check(adds + WARM_UP, receipts=True)
        return adds / (await stage.last_commit_s() - first_s)


def _post(port: int, body: bytes) -> int:
    """Send `body` and return the status; a server may answer before it has read all of it."""
    head = (HEAD + LENGTH).format(port=port, length=len(body)).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(head)
            for start in range(0, len(body), SLICE):
                connection.sendall(body[start : start + SLICE])
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = connection.recv(SLICE)
        except ConnectionResetError:
            answer = b""
    if not answer.startswith(b"HTTP/1.1 "):
        raise Broken("POST /bulk/animals was not answered")
    return int(answer[9:12])
