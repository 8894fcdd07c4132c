"""The api on a socket of its own, for what a transport inside the process cannot show: what comes bit by bit."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from shared.database import Database
from shared.queue import Queue
from tests.serving import make_test_app


@asynccontextmanager
async def on_a_socket(
    database: Database, queue: Queue, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Callable[[], None]]]:
    """A client of the api, and what lets it stop; nobody works."""
    app = make_test_app(database, queue, **settings)
    config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)

    def stop() -> None:
        app.state.stopping()
        server.should_exit = True

    with socket.create_server(("127.0.0.1", 0), backlog=2000) as listener:
        serving = asyncio.create_task(server._serve([listener]))
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, limits=limits) as client:
                yield client, stop
        finally:
            stop()
            await serving
