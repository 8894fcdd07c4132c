"""An api and workers as processes of their own, on servers that the test may stop."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from shared.migrate import migrate
from tests.build import HANDLES
from tests.face.processes import Running
from tests.services import PrivatePostgres, PrivateRedis

StartDibs = Callable[..., Running]


@pytest.fixture
def own_postgres() -> Iterator[PrivatePostgres]:
    """A cluster that the test may stop; its database `postgres` is migrated."""
    with PrivatePostgres() as server:
        asyncio.run(migrate(server.url(), [HANDLES.table]))
        yield server


@pytest.fixture
def own_redis() -> Iterator[PrivateRedis]:
    with PrivateRedis() as server:
        yield server


@pytest.fixture
def start_dibs(tmp_path: Path) -> Iterator[StartDibs]:
    """Starts `dibs api` or `dibs worker` on the two URLs; whatever still runs at the end is killed."""
    number = itertools.count()
    with ExitStack() as stack:

        def start(
            command: str, database_url: str, redis_url: str, *more: str, module: str = "dibs", **environment: str
        ) -> Running:
            log = tmp_path / f"{command}-{next(number)}.log"
            return stack.enter_context(
                Running(
                    log,
                    command,
                    *more,
                    module=module,
                    DIBS_DATABASE_URL=database_url,
                    DIBS_REDIS_URL=redis_url,
                    DIBS_MODELS="tests.models",
                    **environment,
                )
            )

        yield start


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    # Shorter than the five seconds after which uvicorn closes an idle connection: at the same moment both would.
    limits = httpx.Limits(max_connections=250, keepalive_expiry=1)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        yield client
