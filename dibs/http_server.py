"""uvicorn inside our own event loop: a socket that is ours, and no hand on the signals."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from dibs.errors import StartError
from dibs.signals import Stop


@contextmanager
def bound(host: str, port: int, *, setting: str = "DIBS") -> Iterator[socket.socket]:
    """A socket bound to `host` and `port`, which does not listen yet; raises `StartError`.

    `setting` is what the settings are called before their _HOST and _PORT.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise StartError(f"{setting}_HOST: {host} is no address of this machine: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise _cannot_listen(host, port, error, setting) from None
        yield listener


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

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
async def answering(app: Any, listener: socket.socket, stop: Stop, *, grace_s: float) -> AsyncIterator[None]:
    """Answers HTTP while inside; on leaving, takes nothing new and gives running requests `grace_s` to end."""
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    server = _Server(config)
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
        server.should_exit = True
        server.force_exit = not await stop.unless_hurried(serving)
        await asyncio.wait({serving})


def _cannot_listen(host: str, port: int, error: OSError, setting: str = "DIBS") -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(f"port {port} of {host} is in use; set {setting}_PORT to another")
    return StartError(f"cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}")
