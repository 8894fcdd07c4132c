"""GET and POST /ui/add: try an add by hand."""

from typing import Any
from uuid import uuid4

import orjson
from fastapi import FastAPI, Request, Response
from sqlalchemy import Boolean, Integer

from api.callers import Scope, caller_of
from api.door import Door
from api.page.frame import read_fields, route
from api.page.rendering import Pages, go
from api.problems import ProblemError
from shared.collections import Add, Collection, InvalidAdd, MalformedAdd
from shared.contract import DEFAULT_CANDIDATES, DEFAULT_COLLECTION
from shared.encoding import encode
from shared.problems import FieldError


def install(app: FastAPI, door: Door, pages: Pages) -> None:

    def form(request: Request, given: dict[str, str], faults: list[FieldError], *, status: int = 200) -> Response:
        return pages.render(
            request,
            "add.html",
            status=status,
            collections=list(door.collections.values()),
            given=given,
            faults=faults,
            # So that a form that is sent twice, by a double click or a reload, is one add.
            form_id=given.get("form") or uuid4().hex,
        )

    async def blank(request: Request) -> Response:
        name = request.query_params.get("collection", DEFAULT_COLLECTION)
        example = "\n".join(DEFAULT_CANDIDATES) if name == DEFAULT_COLLECTION else ""
        return form(request, {"collection": name, "candidates": example, "values": ""}, [])

    async def add(request: Request) -> Response:
        fields = dict(await read_fields(request, door.settings.max_body_bytes))
        given = {"collection": "", "candidates": "", "values": ""} | fields
        collection = door.collection(given["collection"])
        try:
            wish = _read_add(collection, given["candidates"], given["values"])
        except InvalidAdd as invalid:
            return form(request, given, invalid.faults, status=422)
        key = f"form {given.get('form') or uuid4().hex} {wish.fingerprint(collection.name)}"
        try:
            caller = caller_of(request)
            job = door.new_job(caller, collection, wish, key)
            await door.take_in(caller, collection, job, may_be_known=True)
        except ProblemError as error:
            told = FieldError(pointer="", detail=f"{error.problem.title}: {error.problem.detail}")
            return form(request, given, [told], status=error.problem.status or 500)
        return go(request, f"/ui/jobs/{job.id}")

    route(app, pages, "GET", "/ui/add", blank, Scope.ADD)
    route(app, pages, "POST", "/ui/add", add, Scope.ADD)


def _read_add(collection: Collection, candidates: str, values: str) -> Add:
    """The add that the form's fields mean; raises `InvalidAdd`."""
    lines = [line.strip() for line in candidates.splitlines()]
    content: dict[str, Any] = {"candidates": [_candidate(collection, line) for line in lines if line]}
    if values.strip():
        content["values"] = _json(values, "/values")
    try:
        return collection.parse_add(encode(content))
    except MalformedAdd as error:
        raise InvalidAdd([FieldError(pointer="", detail=str(error))]) from None


def _candidate(collection: Collection, line: str) -> Any:
    """`{…}` is a row in JSON, any other line is the key: the text that it is, or the number."""
    if line.startswith("{"):
        return _json(line, "/candidates")
    is_bare = isinstance(collection.table.c[collection.key[0]].type, Integer | Boolean)
    return _json(line, "/candidates") if is_bare else line


def _json(text: str, pointer: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidAdd([FieldError(pointer=pointer, detail=f"not JSON: {error.msg} at {error.colno}")]) from None
