"""Where callers come in: a listening socket that lets in all who wait, and nobody is slapped in the face by its end."""

import asyncio
import errno
import logging
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dibs.errors import StartError

log = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that the kernel keeps until we accept them."""
ACCEPT_AT_ONCE = 100
"""Connections that are accepted before those that are there have their turn again."""
FULL_PAUSE_S = 0.5
"""How long nobody is accepted when no more files may be open."""
FILES_BESIDE = 500
"""What a process has open beside its callers' connections."""

MakeProtocol = Callable[[], asyncio.Protocol]


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


class Entrance:
    """Accepts connections on `listener`.

    libuv, beneath uvloop, accepts one connection each time that it has served all others: with a thousand busy ones
    a new caller waits for minutes. And the loops close a listening socket without a last look at who waits there.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[object]] = set()
        self.is_open = False

    def open(self, make_protocol: MakeProtocol) -> None:
        """Listen, and give each connection a protocol; raises `StartError`."""
        self._make_protocol = make_protocol
        self._listener.setblocking(False)
        try:
            self._listener.listen(BACKLOG)
        except OSError as error:
            host, port = self._listener.getsockname()[:2]
            raise _cannot_listen(host, port, error) from None
        self.is_open = True
        self._watch()

    def close(self) -> None:
        """Accept who stands in the queue, then nobody any more.

        A connection that is established after the last look at the queue and before the close is reset by the
        kernel; nothing lies between the two.
        """
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._listener)
        late: list[socket.socket] = []
        with suppress(OSError):
            while True:
                late.append(self._listener.accept()[0])
        self._listener.close()
        for connection in late:
            self._let_in(connection)

    def _watch(self) -> None:
        if self.is_open:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("no connection can be accepted: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._loop.call_later(FULL_PAUSE_S, self._watch)
                return
            self._let_in(connection)

    def _let_in(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        arriving = self._loop.create_task(self._loop.connect_accepted_socket(self._make_protocol, connection))
        self._arriving.add(arriving)
        arriving.add_done_callback(self._arrived)

    def _arrived(self, arriving: asyncio.Task[object]) -> None:
        self._arriving.discard(arriving)
        if not arriving.cancelled() and (error := arriving.exception()) is not None:
            log.debug("a caller went away before it was in", exc_info=error)


def allow_files(connections: int) -> None:
    """Let this process have `connections` open and what is needed beside, so far as it may allow that itself."""
    wanted = connections + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("only %d files may be open here (ulimit -n), fewer than DIBS_MAX_CONNECTIONS needs", allowed)


def _cannot_listen(host: str, port: int, error: OSError, setting: str = "DIBS") -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(f"port {port} of {host} is in use; set {setting}_PORT to another")
    return StartError(f"cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}")
