"""The api's entrypoint: `make_app` puts the routes on a door; `app` is for `uvicorn --factory api.main:app`."""

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from api import (
    adds,
    bulks,
    events,
    health,
    job_list,
    jobs,
    listing,
    openapi,
    problem_pages,
    problems,
    retries,
    scrape,
    stats,
)
from api.access import Access, endpoint_of
from api.at_hand import AtHand
from api.callers import Scope, needs
from api.door import Door
from api.grouping import Grouping
from api.keyring import Keyring, State
from api.metrics import ApiMetrics
from api.observing import Observing
from api.page.install import install as install_page
from api.page.rendering import Pages
from api.reader import Reader
from api.roots import path_of
from api.security import tell_security
from api.slots import Slots
from api.thin_route import Shortcut
from api.waiters import Waiters
from shared.collections import Collection
from shared.database import Database, open_database
from shared.exporting import open_tracing
from shared.metrics import Metrics
from shared.problems import Problem
from shared.queue import Queue
from shared.rates import Rates
from shared.redis import open_redis
from shared.registry import load_collections
from shared.settings import Settings
from shared.tasks import CANCEL_AGAIN_S, beside
from shared.tracing import Tracing

DESCRIPTION = (
    "Insert the first of these rows that is still free, exactly once, and tell which one it was. "
    "Submit an add, then poll the job or wait for it."
)


UNTRACED = ("/metrics", "/health/")
"""What is asked every few seconds would bury the traces of what callers do."""


class App(FastAPI):
    """FastAPI with `access` before everything that answers, and `metrics` around it.

    The traces that FastAPI makes need all of its layers: `is_traced` takes no shortcut around them.
    """

    def __init__(
        self, metrics: ApiMetrics, access: Callable[[ASGIApp], ASGIApp], *, is_traced: bool, **options: Any
    ) -> None:
        super().__init__(**options)
        self._metrics = metrics
        self._access = access
        self._is_traced = is_traced

    def build_middleware_stack(self) -> ASGIApp:
        whole = super().build_middleware_stack()
        answering = whole if self._is_traced else Shortcut(whole, self.routes, self.exception_handlers)
        guarded = ServerErrorMiddleware(self._access(answering), handler=self.exception_handlers[Exception])
        return Observing(guarded, self._metrics)


def make_app(
    settings: Settings,
    *,
    database: Database,
    queue: Queue,
    keyring: Keyring | None = None,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The api on `database` and `queue`, which stay the caller's to close, as does `tracing`.

    `keyring` may have been read before. A worker in the same process may count in `metrics` as well.
    """
    collections = load_collections(settings.models, settings.limits)
    metrics = metrics or Metrics(collections)
    counters = ApiMetrics(metrics)
    keys = keyring or Keyring(database, settings)
    rates = Rates(queue.redis, queue.name)
    door = _make_door(settings, database, queue, collections, rates, counters, tracing)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if keys.state is State.UNREAD:
            await keys.refresh()
        async with (
            beside(done=door.waiters.listen_for_ever(), receipts=door.waiters.read_for_ever()),
            beside(again_s=CANCEL_AGAIN_S, keys=keys.refresh_for_ever()),
        ):
            yield
        await door.grouping.close()
        await door.reader.close()

    pages = Pages()
    # The interactive pages load their scripts from elsewhere; the schema itself is at /openapi.json.
    app = App(
        counters,
        partial(Access, keyring=keys, rates=rates, refuse_page=pages.refuse),
        is_traced=tracing is not None,
        title="dibs",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_telemetry(tracing),
    )
    app.state.stopping = door.waiters.close
    [schema] = app.routes  # FastAPI's own: /openapi.json
    needs(Scope.ADD, Scope.READ)(endpoint_of(schema))
    problems.install(app)
    adds.install(app, door)
    bulks.install(app, door)
    jobs.install(app, door)
    listed = job_list.JobList(door)
    job_list.install(app, listed)
    retries.install(app, door, listed)
    events.install(app, door)
    listing.install(app, door)
    health.install(app, door)
    stats.install(app, door)
    scrape.install(app, door, metrics)
    problem_pages.install(app)
    install_page(app, pages, door, keys)
    _complete_openapi(app, door)
    return app


def _make_door(
    settings: Settings,
    database: Database,
    queue: Queue,
    collections: dict[str, Collection],
    rates: Rates,
    metrics: ApiMetrics,
    tracing: Tracing | None,
) -> Door:
    at_hand = AtHand()
    reader = Reader(database, queue, at_hand)
    waiters = Waiters(queue, reader)
    metrics.count_open_waits(waiters.how_many)
    return Door(
        settings=settings,
        database=database,
        queue=queue,
        at_hand=at_hand,
        collections=collections,
        reader=reader,
        waiters=waiters,
        grouping=Grouping(queue, metrics, tracing),
        waits=Slots(settings.max_waits),
        streams=Slots(settings.max_event_streams),
        rates=rates,
        metrics=metrics,
    )


def _telemetry(tracing: Tracing | None) -> TelemetryConfig:
    """FastAPI's own spans of requests, with our provider or not at all."""
    return {
        "tracing": tracing is not None,
        "tracer_provider": tracing.provider if tracing else None,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: path_of(scope).startswith(UNTRACED),
    }


def app() -> FastAPI:
    """An app on the servers that the environment names, opened here and closed with it."""
    settings = Settings.load()
    database = open_database(settings.need("database_url"))
    redis = open_redis(settings.need("redis_url"))
    queue = Queue(redis, settings.queue_name, limit=settings.queue_limit)
    if (tracing := open_tracing("dibs-api")) is not None:
        tracing.follow(database)
    made = make_app(settings, database=database, queue=queue, tracing=tracing)
    inner = made.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with inner(app):
                yield
        finally:
            await database.close()
            await redis.aclose(close_connection_pool=True)
            if tracing is not None:
                await tracing.close()

    made.router.lifespan_context = lifespan
    return made


def _complete_openapi(app: FastAPI, door: Door) -> None:
    """Put in the schemas that the routes name and FastAPI does not collect: the problems and the adds."""
    generate = app.openapi

    def whole_openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        whole = generate()
        schemas = whole.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="validation")
        schemas |= schemas["Problem"].pop("$defs", {})
        for collection in door.collections.values():
            schema = collection.json_schema("#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {})
            schemas[f"{collection.name}_add"] = schema
        _forget_fastapis_own_422(whole)
        tell_security(app.routes, whole)
        openapi.complete(whole)
        return whole

    app.openapi = whole_openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the schema


def _forget_fastapis_own_422(schema: dict[str, Any]) -> None:
    """FastAPI documents an error of its own wherever there is a parameter; ours are problems."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
