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
        names = [*self.param_convertors]

        async def handle(request: Request) -> Response:
            # Those of a mount around us stand beside ours.
            ours = {name: request.path_params[name] for name in names}
            response: Response = await self.endpoint(request=request, **ours)
            return response

        return handle


class Shortcut:
    """An ASGI app before another: what asks for a thin route gets there at once.

    The layers that it goes around solve nothing for such a route, and were a quarter of the time that was left.
    Everything else goes through `app`, as do these where they are asked for in another way than by their method. No
    other route has their addresses.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], handlers: Handlers) -> None:
        self._app = app
        self._handlers = {kind: handler for kind, handler in handlers.items() if kind is not Exception}
        thin = [(method, route) for route in routes if isinstance(route, ThinRoute) for method in route.methods or ()]
        self._plain = {(method, route.path): route for method, route in thin if not route.param_convertors}
        self._with_parameters = [(method, route) for method, route in thin if route.param_convertors]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, parts = found
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request=request, **parts)
        except Exception as error:  # noqa: BLE001  # raised again unless the app has an answer to it
            response = await self._answer(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[ThinRoute, dict[str, str]] | None:
        """The route, and the parts of the path that it asks for; those of a mount around the app are not among them."""
        method, path = scope["method"], path_of(scope)
        route = self._plain.get((method, path))
        if route is not None:
            return route, {}
        for its_method, route in self._with_parameters:
            if method == its_method and (found := route.path_regex.match(path)):
                return route, found.groupdict()
        return None

    async def _answer(self, request: Request, error: Exception) -> Response:
        """What the app answers to `error`; raises it where that is not expected."""
        for kind in type(error).__mro__:
            if handler := self._handlers.get(kind):
                answer = handler(request, error)
                return answer if isinstance(answer, Response) else await answer
        raise error
