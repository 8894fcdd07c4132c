"""GET /metrics of a worker, which has no other HTTP: on a port of its own, where one is set."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dibs.entrance import address_of, bound
from dibs.http_protocol import Bounds
from dibs.http_server import answering
from dibs.signals import Stop
from shared.metrics import Metrics
from shared.settings import Settings

log = logging.getLogger(__name__)

GRACE_S = 1.0
MAX_CONNECTIONS = 100


@asynccontextmanager
async def showing(settings: Settings, metrics: Metrics, stop: Stop) -> AsyncIterator[None]:
    """Shows `metrics` while inside, in the loop of the work: a worker that hangs does not answer either."""
    if settings.metrics_port is None:
        yield
        return
    with bound(settings.metrics_host, settings.metrics_port, setting="DIBS_METRICS") as listener:
        bounds = Bounds.of(settings)
        async with answering(
            _app(metrics), listener, stop, bounds=bounds, grace_s=GRACE_S, drain_s=0, max_connections=MAX_CONNECTIONS
        ):
            log.info("metrics: %s/metrics", address_of(listener))
            yield


def _app(metrics: Metrics) -> Starlette:
    async def scrape(request: Request) -> Response:
        body, media_type = metrics.expose(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    app = Starlette(routes=[Route("/metrics", scrape)])
    app.state.stopping = lambda: None
    return app
