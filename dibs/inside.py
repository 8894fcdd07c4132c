"""The way to an app in the same process, for the client: no socket, and no key."""

import asyncio

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from api.callers import CALLER, Caller


class Inside(httpx.AsyncBaseTransport):
    """Asks `app`, which stands at `root`, as `caller`."""

    def __init__(self, app: ASGIApp, caller: Caller, root: str) -> None:
        async def asked(scope: Scope, receive: Receive, send: Send) -> None:
            scope[CALLER] = caller
            await app(scope, receive, send)

        self._asgi = httpx.ASGITransport(asked, raise_app_exceptions=False, root_path=root)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # A task of its own, as a server would give it: what it binds to its context, such as its id, stays there.
        return await asyncio.create_task(self._asgi.handle_async_request(request))
