"""GET /ui/bulk/{id}: how far a bulk is."""

from fastapi import FastAPI, Request, Response

from api.bulk_door import BulkDoor
from api.callers import Scope, caller_of
from api.door import Door
from api.page.frame import route
from api.page.rendering import Pages
from shared.contract import OUTCOMES


def install(app: FastAPI, door: Door, pages: Pages) -> None:
    bulks = BulkDoor(door)

    async def bulk(request: Request) -> Response:
        view = await bulks.view(caller_of(request), request.path_params["bulk"])
        ended = sum(count for status, count in (view.counts or {}).items() if status in OUTCOMES)
        is_live = not view.complete or ended < view.lines
        return pages.render(request, "bulk.html", bulk=view, ended=ended, is_live=is_live)

    route(app, pages, "GET", "/ui/bulk/{bulk}", bulk, Scope.ADD, Scope.READ)
