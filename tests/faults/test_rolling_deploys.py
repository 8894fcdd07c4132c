"""Deploys under load: every process is replaced in turn, and no caller who knows both addresses notices."""

import asyncio
import os
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from shared.database import Database
from shared.queue import Queue
from tests.face.processes import Running
from tests.services import free_port
from tests.serving import drained

DEPLOYS = int(os.environ.get("DIBS_TEST_DEPLOYS", "1"))
"""How often all are replaced; `make chaos` does it twenty times."""
CALLERS = 6
PAUSE_S = 0.05
TURNED_AWAY_S = 1.5
"""How long a caller stays away from whoever closed a connection with its answer."""


@dataclass
class Balancer:
    """Two addresses: another is tried where a connection is refused, and liked better where one said goodbye."""

    urls: list[str]
    http: httpx.AsyncClient
    accepted: list[UUID] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    _left_until: dict[str, float] = field(default_factory=dict)

    async def submit(self, name: str) -> None:
        told = []
        for url in sorted(self.urls, key=lambda url: max(time.monotonic(), self._left_until.get(url, 0))):
            try:
                answer = await self.http.post(f"{url}/add", json={"candidates": [name]})
            except httpx.ConnectError:
                self._leave(url, "refused connection")
                told.append("ConnectError")
                continue
            except httpx.TransportError as error:
                # Whether it was taken in nobody knows: a caller without a key cannot send it again.
                told.append(type(error).__name__)
                break
            if answer.headers.get("connection") == "close":
                self._leave(url, "goodbye")
            if answer.status_code == 202:
                self.accepted.append(UUID(answer.json()["id"]))
                return
            told.append(str(answer.status_code))
        self.refused.append(", ".join(told))

    def _leave(self, url: str, why: str) -> None:
        self.met[why] += 1
        self._left_until[url] = time.monotonic() + TURNED_AWAY_S


@pytest.mark.postgresql
@pytest.mark.timeout(120 + 60 * DEPLOYS)
async def test_no_submit_is_refused_no_job_fails_and_no_try_is_spent(
    postgresql_database: Database, postgresql_url: str, redis_url: str, redis_queue: Queue, tmp_path: Path
) -> None:
    environment = {
        "DIBS_DATABASE_URL": postgresql_url,
        "DIBS_REDIS_URL": redis_url,
        "DIBS_QUEUE_NAME": redis_queue.name,
        "DIBS_DRAIN_S": "1",
    }

    ports = [free_port(), free_port()]
    with ExitStack() as stack:

        def start(command: str, number: int, *options: str) -> Running:
            log = tmp_path / f"{command}-{number}.log"
            return stack.enter_context(Running(log, command, *options, **environment))

        apis = [start("api", n, "--port", str(port)) for n, port in enumerate(ports)]
        workers = [start("worker", n) for n in range(2)]
        async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(keepalive_expiry=1)) as http:
            balancer = Balancer([api.url for api in apis], http)
            ended = asyncio.Event()
            calling = [asyncio.create_task(_call(balancer, ended, number)) for number in range(CALLERS)]
            for _ in range(DEPLOYS):
                for n, port in enumerate(ports):
                    codes = await asyncio.gather(*(asyncio.to_thread(old.stop) for old in (apis[n], workers[n])))
                    assert codes == [0, 0]
                    apis[n], workers[n] = await asyncio.gather(
                        asyncio.to_thread(start, "api", n, "--port", str(port)),
                        asyncio.to_thread(start, "worker", n),
                    )
            ended.set()
            await asyncio.gather(*calling)
        await drained(redis_queue)

    assert balancer.refused == []
    assert balancer.met["goodbye"] >= DEPLOYS, "the load met the deploys"
    receipts = await _receipts(postgresql_database)
    assert set(balancer.accepted) == {receipt["id"] for receipt in receipts}
    assert Counter((receipt["status"], receipt["tries"]) for receipt in receipts) == {
        ("succeeded", 1): len(balancer.accepted)
    }
    print(f"{DEPLOYS} deploys, {len(balancer.accepted)} adds, {dict(balancer.met)}")  # noqa: T201


async def _call(balancer: Balancer, ended: asyncio.Event, number: int) -> None:
    made = 0
    while not ended.is_set():
        made += 1
        await balancer.submit(f"{number} {made}")
        await asyncio.sleep(PAUSE_S)


async def _receipts(database: Database) -> list[Any]:
    async with database.reads() as session:
        found = await session.execute(text("SELECT id, status, tries FROM receipts"))
        return [dict(row._mapping) for row in found]
