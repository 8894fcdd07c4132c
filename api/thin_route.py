"""Routes without FastAPI's work for each call, for where it would be a good part of the time."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.roots import path_of

Handlers = Mapping[Any, Callable[[Request, Any], Response | Awaitable[Response]]]


class ThinRoute(APIRoute):
    """A route whose endpoint takes the request and the parts of the path, as text, and makes the response by itself.

    FastAPI documents it, and does none of its work for each call: on the hot path that was a fifth of the time.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            response: Response = await self.endpoint(request=request, **request.path_params)
            return response

        return handle


class Shortcut:
    """An ASGI app before another: what asks for a thin route without parameters gets there at once.

    The layers that it goes around solve nothing for such a route, and were a fifth of the time that was left.
    Everything else goes through `app`, as do these where they are asked for in another way than by their method.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], handlers: Handlers) -> None:
        self._app = app
        self._handlers = {kind: handler for kind, handler in handlers.items() if kind is not Exception}
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, ThinRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], path_of(scope))) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request=request)
        except Exception as error:  # noqa: BLE001  # raised again unless the app has an answer to it
            response = await self._answer(request, error)
        await response(scope, receive, send)

    async def _answer(self, request: Request, error: Exception) -> Response:
        """What the app answers to `error`; raises it where that is not expected."""
        for kind in type(error).__mro__:
            if handler := self._handlers.get(kind):
                answer = handler(request, error)
                return answer if isinstance(answer, Response) else await answer
        raise error
