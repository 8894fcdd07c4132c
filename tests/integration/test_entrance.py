"""The listening socket: who waits there gets in, also at its end."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dibs.entrance import ACCEPT_AT_ONCE, Entrance, bound
from dibs.errors import StartError

MANY = 2 * ACCEPT_AT_ONCE + 50


class Greeting(asyncio.Protocol):
    """Says hello and goodbye."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with bound("127.0.0.1", 0) as listener:
        yield listener


def knock(stack: ExitStack, listener: socket.socket, times: int) -> list[socket.socket]:
    """Connections that the kernel has established; nobody has accepted them yet."""
    address = listener.getsockname()
    return [stack.enter_context(socket.create_connection(address, timeout=5)) for _ in range(times)]


async def greeted(callers: list[socket.socket]) -> int:
    heard = [await asyncio.to_thread(caller.recv, 10) for caller in callers]
    return heard.count(b"hello")


async def test_who_waits_does_not_wait_for_a_turn_each(listener: socket.socket) -> None:
    entrance = Entrance(listener)
    entrance.open(Greeting)
    with ExitStack() as stack:
        callers = knock(stack, listener, MANY)
        for _ in range(MANY // ACCEPT_AT_ONCE + 3):  # a few turns of the loop, not one for each
            await asyncio.sleep(0)
        assert len(entrance._arriving) + sum(_is_greeted(caller) for caller in callers) >= MANY
        assert await greeted(callers) == MANY
        entrance.close()


def _is_greeted(caller: socket.socket) -> bool:
    caller.setblocking(False)
    try:
        return caller.recv(10, socket.MSG_PEEK) == b"hello"
    except BlockingIOError:
        return False
    finally:
        caller.settimeout(5)


async def test_who_stands_in_the_queue_at_the_end_still_gets_in_and_the_next_is_refused(
    listener: socket.socket,
) -> None:
    entrance = Entrance(listener)
    entrance.open(Greeting)
    address = listener.getsockname()
    with ExitStack() as stack:
        callers = knock(stack, listener, MANY)
        entrance.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
        assert await greeted(callers) == MANY


async def test_a_port_that_somebody_else_listens_on_is_told(listener: socket.socket) -> None:
    Entrance(listener).open(Greeting)
    port = listener.getsockname()[1]
    with pytest.raises(StartError, match=f"port {port} of 127.0.0.1 is in use"), bound("127.0.0.1", port):
        raise AssertionError("nobody else may be bound to it")
