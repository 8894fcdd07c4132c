"""Requests of somebody."""

from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Asgi

from api.callers import Caller, Scope


def as_caller(client: httpx.AsyncClient, name: str, *scopes: Scope) -> httpx.AsyncClient:
    """A client like `client` whose requests come from `name`, who may add and read unless `scopes` are given."""
    transport: Any = client._transport
    inner: ASGIApp = transport.app
    caller = Caller(name, frozenset(scopes or (Scope.ADD, Scope.READ)))

    async def app(scope: Asgi, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["caller"] = caller
        await inner(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://dibs.test", timeout=60)
