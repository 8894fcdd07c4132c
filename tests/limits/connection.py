"""The door behind a real socket, and a caller that says whatever it likes, as slowly as it likes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from dibs.entrance import bound
from dibs.http_protocol import Bounds
from dibs.http_server import answering
from dibs.signals import Stop
from shared.database import Database
from shared.queue import Queue
from tests.build import make_settings
from tests.serving import make_test_app

PATIENCE_S = 10.0


@dataclass
class Answer:
    """What came back; `problem` where it is one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        told = orjson.loads(self.body)
        assert told["status"] == self.status
        return str(told["type"]).removeprefix("/problems/")


class Connection:
    """One connection of a caller."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, text: bytes) -> None:
        self._writer.write(text)
        await self._writer.drain()

    async def answer(self) -> Answer:
        async with asyncio.timeout(PATIENCE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(head[0].split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Whether the server ends the connection, without a further word."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._reader.read() == b""
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        self._writer.close()


class Server:
    """Where to connect to."""

    def __init__(self, listener: socket.socket) -> None:
        self.address = listener.getsockname()[:2]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection(*self.address)
        made = Connection(reader, writer)
        try:
            yield made
        finally:
            await made.close()

    async def ask(self, text: bytes) -> Answer:
        async with self.connection() as connection:
            await connection.say(text)
            return await connection.answer()


@asynccontextmanager
async def listening(database: Database, queue: Queue, **settings: Any) -> AsyncIterator[Server]:
    """The api on a port of its own, as `dibs api` serves it."""
    app = make_test_app(database, queue, **settings)
    with bound("127.0.0.1", 0) as listener:
        bounds = Bounds.of(make_settings(**settings))
        stop = Stop(60)
        stop.ready()
        async with answering(app, listener, stop, bounds=bounds, grace_s=1, drain_s=0, max_connections=1000):
            try:
                yield Server(listener)
            finally:
                stop._hurried.set()  # as after a second signal: nobody is left who would have to be let finish
