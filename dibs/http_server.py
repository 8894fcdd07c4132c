"""uvicorn inside our own event loop: an entrance that is ours, and no hand on the signals."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from api.problems import respond
from dibs.entrance import Entrance, allow_files
from dibs.errors import StartError
from dibs.http_protocol import BoundedProtocol, Bounds
from dibs.signals import Stop
from shared.problems import Kind, problem

if TYPE_CHECKING:
    from fastapi import Response

LAST_WORD_S = 0.1
"""How long the last who came in have for their request. Idle connections are closed after it."""


class _Server(uvicorn.Server):
    def __init__(
        self, app: Any, entrance: Entrance, *, bounds: Bounds, root_path: str, grace_s: float, max_connections: int
    ) -> None:
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            root_path=root_path,
            http=partial(BoundedProtocol, bounds=bounds),  # type: ignore[arg-type]  # it calls what it is given
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(grace_s)),
        )
        super().__init__(config)
        self.is_up = asyncio.Event()
        self._app = app
        self._entrance = entrance
        self._max_connections = max_connections

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            raise StartError("the api did not start; the log says why") from None
        self._entrance.open(self._protocol)
        self.is_up.set()

    async def drain(self, drain_s: float) -> None:
        """Go on for `drain_s`, but let each answer be the last one on its connection; then take nothing new."""
        last = (b"connection", b"close")
        self.config.encoded_headers.append(last)
        self.server_state.default_headers = [*self.server_state.default_headers, last]
        if not self._entrance.is_open:
            return
        if drain_s:
            await asyncio.sleep(drain_s)
        self._entrance.close()
        await asyncio.sleep(LAST_WORD_S)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        is_crowded = scope["type"] == "http" and len(self.server_state.connections) > self._max_connections
        await (_crowded(self.config.root_path) if is_crowded else self._app)(scope, receive, send)


@asynccontextmanager
async def answering(
    app: Any,
    listener: socket.socket,
    stop: Stop,
    *,
    bounds: Bounds,
    grace_s: float,
    drain_s: float,
    max_connections: int,
    root_path: str = "",
) -> AsyncIterator[None]:
    """Answers HTTP while inside; on leaving, sends callers elsewhere and gives running requests `grace_s` to end.

    For `drain_s` it goes on as before, but closes each connection with its next answer and says that it is not
    ready, so that whoever balances loads has time to turn away. Then it takes nothing new. With more than
    `max_connections` it answers nothing but 503.
    """
    allow_files(max_connections)
    entrance = Entrance(listener)
    server = _Server(
        app, entrance, bounds=bounds, root_path=root_path, grace_s=grace_s, max_connections=max_connections
    )
    # No socket for it to listen on: that is the entrance's.
    serving = asyncio.create_task(server.serve([]), name="api")
    up = asyncio.create_task(server.is_up.wait())
    try:
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        stop.depends_on(serving)
        yield
    finally:
        up.cancel()
        # Requests that wait for a job are answered now, with the job as it stands.
        app.state.stopping()
        draining = asyncio.create_task(server.drain(drain_s), name="drain")
        if not await stop.unless_hurried(draining):
            draining.cancel()
        await asyncio.wait({draining})
        entrance.close()
        server.should_exit = True
        server.force_exit = not await stop.unless_hurried(serving)
        await asyncio.wait({serving})


def _crowded(root_path: str) -> "Response":
    told = problem(Kind.BUSY, "too many connections; nothing was done")
    return respond(told, root_path, headers={"Connection": "close"})
