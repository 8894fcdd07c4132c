"""uvicorn inside our own event loop: a socket that is ours, and no hand on the signals."""

import asyncio
import errno
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from api.problems import respond
from dibs.errors import StartError
from dibs.signals import Stop
from shared.problems import Kind, problem

if TYPE_CHECKING:
    from fastapi import Response

LAST_WORD_S = 0.1
"""How long the last who came in have for their request. Idle connections are closed after it."""


FILES_BESIDE = 500
"""What a process has open beside its callers' connections."""

log = logging.getLogger(__name__)


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to `host` and `port`, which does not listen yet; raises `StartError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise StartError(f"DIBS_HOST: {host} is no address of this machine: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        yield listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(self, app: Any, *, grace_s: float, max_connections: int) -> None:
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(grace_s)),
        )
        super().__init__(config)
        self.is_up = asyncio.Event()
        self._app = app
        self._max_connections = max_connections

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        is_crowded = scope["type"] == "http" and len(self.server_state.connections) > self._max_connections
        await (_crowded() if is_crowded else self._app)(scope, receive, send)

    def say_goodbye(self) -> None:
        """Let every answer from now on be the last one on its connection."""
        last = (b"connection", b"close")
        self.config.encoded_headers.append(last)
        self.server_state.default_headers = [*self.server_state.default_headers, last]

    async def close_door(self, listener: socket.socket) -> None:
        """Accept nobody any more, without a slap in the face: who stands in the accept queue still gets in.

        A connection that is established after the last look at the queue and before the close is reset by the
        kernel; nothing lies between the two.
        """
        late: list[socket.socket] = []
        listener.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                late.append(listener.accept()[0])
        for server in self.servers:
            server.close()
        listener.close()
        for connection in late:
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets is not None
        host, port = sockets[0].getsockname()[:2]
        try:
            await super().startup(sockets)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        except SystemExit:
            raise StartError("the api did not start; the log says why") from None
        self.is_up.set()


@asynccontextmanager
async def answering(
    app: Any, listener: socket.socket, stop: Stop, *, grace_s: float, drain_s: float, max_connections: int
) -> AsyncIterator[None]:
    """Answers HTTP while inside; on leaving, sends callers elsewhere and gives running requests `grace_s` to end.

    With more than `max_connections` it answers nothing but 503.

    For `drain_s` it goes on as before, but closes each connection with its next answer and says that it is not
    ready, so that whoever balances loads has time to turn away. Then it takes nothing new.
    """
    _allow_files(max_connections + FILES_BESIDE)
    server = _Server(app, grace_s=grace_s, max_connections=max_connections)
    serving = asyncio.create_task(server.serve([listener]), name="api")
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
        draining = asyncio.create_task(_drain(server, listener, drain_s), name="drain")
        if not await stop.unless_hurried(draining):
            draining.cancel()
        await asyncio.wait({draining})
        server.should_exit = True
        server.force_exit = not await stop.unless_hurried(serving)
        await asyncio.wait({serving})


def _crowded() -> "Response":
    return respond(problem(Kind.BUSY, "too many connections; nothing was done"), headers={"Connection": "close"})


def _allow_files(wanted: int) -> None:
    """Let this process have `wanted` files and connections open, so far as it may allow that itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted:
        allowed = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            log.warning("only %d files may be open here (ulimit -n), fewer than DIBS_MAX_CONNECTIONS needs", allowed)


async def _drain(server: _Server, listener: socket.socket, drain_s: float) -> None:
    server.say_goodbye()
    if drain_s:
        await asyncio.sleep(drain_s)
    await server.close_door(listener)
    await asyncio.sleep(LAST_WORD_S)


def _cannot_listen(host: str, port: int, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(f"port {port} of {host} is in use; set DIBS_PORT to another")
    return StartError(f"cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}")
