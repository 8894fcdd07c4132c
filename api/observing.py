"""Around every request: its id, its place among the metrics, and a line in the log where one is due."""

import logging
import re
import secrets
import time
from itertools import count

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from api.metrics import ApiMetrics, waited_s
from api.roots import note_root

log = logging.getLogger(__name__)

SLOW_S = 1.0
"""An answer that took longer, beside what its caller asked to wait, is told."""

SERVER_ERROR = 500

LONGEST_PATH = 200
"""Characters of a path that a log line shows."""

_REQUEST_ID = re.compile(rb"[\w.:/+=@-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


class Observing:
    """An ASGI app around the api's, outside of everything that answers errors.

    The request id is the caller's `X-Request-Id`, else the id of the trace that it belongs to (`traceparent`), else
    a new one; it is in each log line of the request, and in the answer.
    """

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics
        # Ids of this process: a random part and a number, a quarter of the price of a random one.
        self._name = secrets.token_hex(8)
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        note_root(scope)
        request_id = self._id_of(scope)
        # Every request runs in a task of its own, so nothing needs to be unbound.
        bind_contextvars(request_id=request_id.decode())
        waited_s.set(0.0)
        began_s = time.perf_counter()
        is_over = False

        async def answer(message: Message) -> None:
            nonlocal is_over
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
                self._told(scope, message["status"], time.perf_counter() - began_s - waited_s.get())
            else:
                is_over = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            log.exception("%s %s could not be answered", scope["method"], _route(scope) or "")
            # It has been answered as an error, and told; the server would only tell it again.
            if not is_over:
                raise

    def _told(self, scope: Scope, status: int, took_s: float) -> None:
        method, route = scope["method"], _route(scope)
        self._metrics.answered(method, route, status, took_s)
        if status >= SERVER_ERROR:
            level = logging.WARNING
        elif took_s > SLOW_S:
            level = logging.INFO
        else:
            level = logging.DEBUG
        if log.isEnabledFor(level):
            fields = {"status": status, "duration_ms": round(took_s * 1000, 1), "route": route}
            log.log(level, "%s %s: %d", method, scope["path"][:LONGEST_PATH], status, extra=fields)

    def _id_of(self, scope: Scope) -> bytes:
        trace = b""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return bytes(value)
            if name == b"traceparent" and (found := _TRACEPARENT.fullmatch(value)):
                trace = found[1]
        return trace or f"{self._name}-{next(self._numbers)}".encode()


def _route(scope: Scope) -> str | None:
    """The template of the path, such as /jobs/{job_id}; None where nobody serves it."""
    return getattr(scope.get("route"), "path_format", None)
