"""A client of a FastAPI application in the test's own process, with a session for each request."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

BASE_URL = "http://test"


@asynccontextmanager
async def opened_client(
    app: FastAPI, dependency: Callable[..., Any] | None, sessions: async_sessionmaker[AsyncSession], *, lifespan: bool
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app`, whose `dependency` gives a fresh session of `sessions` to each request."""

    async def session_of_this_request() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    async with AsyncExitStack() as stack:
        if dependency is not None:
            before = dict(app.dependency_overrides)
            stack.callback(_restore, app.dependency_overrides, before)
            app.dependency_overrides[dependency] = session_of_this_request
        if lifespan:
            await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        yield await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=BASE_URL))


def _restore(overrides: dict[Any, Any], before: dict[Any, Any]) -> None:
    overrides.clear()
    overrides.update(before)
