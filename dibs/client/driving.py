"""The two drivers, which take the steps of a dialogue: one blocks, the other awaits. All that differs is here."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import httpx

from dibs.client.steps import Ask, Done, Draw, Give, Gives, Open, Pause, Step, Steps, proceed
from dibs.client.streams import AsyncSource, Source, open_async, open_sync

T = TypeVar("T")

CONNECT_S = 5.0


class Driver:
    """Takes steps with an `httpx.Client`."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def run(self, steps: Steps[T]) -> T:
        """What the dialogue returns."""
        came = None
        while not isinstance(step := proceed(steps, came), Done):
            came = self._take(step)
        value: T = step.value
        return value

    def each(self, steps: Gives[T]) -> Iterator[T]:
        """What the dialogue gives, one by one."""
        came = None
        while not isinstance(step := proceed(steps, came), Done):
            if isinstance(step, Give):
                yield step.value
                came = None
            else:
                came = self._take(step)

    def _take(self, step: Step | Give[Any]) -> Any:
        match step:
            case Ask():
                try:
                    return self.http.send(_request(self.http, step))
                except httpx.TransportError as error:
                    return error
            case Pause(seconds):
                return time.sleep(seconds)
            case Open(stream):
                return open_sync(stream)
            case Draw(Source() as source, take):
                return source.draw(take)
        raise AssertionError(f"no step to be taken: {step}")


class AsyncDriver:
    """Takes steps with an `httpx.AsyncClient`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def run(self, steps: Steps[T]) -> T:
        """What the dialogue returns."""
        came = None
        async with AsyncExitStack() as opened:
            while not isinstance(step := proceed(steps, came), Done):
                came = await self._take(step, opened)
        value: T = step.value
        return value

    async def each(self, steps: Gives[T]) -> AsyncIterator[T]:
        """What the dialogue gives, one by one."""
        came = None
        async with AsyncExitStack() as opened:
            while not isinstance(step := proceed(steps, came), Done):
                if isinstance(step, Give):
                    yield step.value
                    came = None
                else:
                    came = await self._take(step, opened)

    async def _take(self, step: Step | Give[Any], opened: AsyncExitStack) -> Any:
        match step:
            case Ask():
                try:
                    return await self.http.send(_request(self.http, step))
                except httpx.TransportError as error:
                    return error
            case Pause(seconds):
                return await asyncio.sleep(seconds)
            case Open(stream):
                return await opened.enter_async_context(open_async(stream))
            case Draw(Source() as source, take):
                return source.draw(take)
            case Draw(AsyncSource() as source, take, is_patient):
                return await source.draw(take, is_patient=is_patient)
        raise AssertionError(f"no step to be taken: {step}")


def _request(http: httpx.Client | httpx.AsyncClient, ask: Ask) -> httpx.Request:
    # A connection of the pool is waited for as long as it takes: whoever asks much at once asks in turn.
    timeout = httpx.Timeout(ask.wait_s + ask.answer_s, connect=min(CONNECT_S, ask.answer_s), pool=None)
    return http.build_request(
        ask.method, ask.path, params=ask.query or None, headers=ask.headers, content=ask.content, timeout=timeout
    )
