"""GET /collections and GET /collections/{collection}: what can be added to, and what is there."""

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Select, literal, select, tuple_

from api.callers import Scope, needs
from api.cursors import no_cursor, read_cursor, write_cursor
from api.door import Door
from api.problems import responses
from api.roots import root_of
from shared.collections import Collection, InvalidAdd
from shared.contract import Row
from shared.problems import Kind

_KEY = TypeAdapter(list[Any])

PAGE = 20
LARGEST_PAGE = 100


class CollectionView(BaseModel):
    """A collection: the columns of its unique key, and the JSON Schema (2020-12) of an add to it."""

    name: str
    key: list[str]
    add: str
    add_schema: dict[str, Any]


class Listing(BaseModel):
    collections: list[CollectionView]


class Page(CollectionView):
    """A collection with a page of its rows in the order of their keys; `next` is where the next page is."""

    rows: list[Row]
    next: str | None


def install(app: FastAPI, door: Door) -> None:

    @app.get("/collections", tags=["collections"], summary="What can be added to")
    @needs(Scope.ADD, Scope.READ)
    async def collections(request: Request) -> Listing:
        root = root_of(request.scope)
        return Listing(collections=[CollectionView(**_about(c, root)) for c in door.collections.values()])

    @app.get(
        "/collections/{collection}",
        tags=["collections"],
        summary="One collection and a page of its rows",
        responses=responses(Kind.UNKNOWN_COLLECTION, Kind.INVALID, Kind.DATABASE_AWAY),
    )
    @needs(Scope.READ)
    async def rows(
        request: Request,
        collection: Annotated[str, Path(json_schema_extra={"enum": sorted(door.collections)})],
        cursor: Annotated[str | None, Query(json_schema_extra={"format": "cursor", "minLength": 1})] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
    ) -> Page:
        chosen = door.collection(collection)
        query = _after(chosen, cursor).limit(limit + 1)
        with door.at_hand.database():
            async with door.database.reads() as session:
                found = (await session.execute(query)).mappings().all()
        page = [chosen.to_json({str(name): value for name, value in row.items()}) for row in found[:limit]]
        root = root_of(request.scope)
        more = (
            f"{root}/collections/{collection}?limit={limit}&cursor={write_cursor(chosen.keys_of(page[-1:])[0])}"
            if len(found) > limit
            else None
        )
        return Page(**_about(chosen, root), rows=page, next=more)


def _about(collection: Collection, root: str) -> dict[str, Any]:
    return {
        "name": collection.name,
        "key": list(collection.key),
        "add": f"{root}/add/{collection.name}",
        "add_schema": collection.json_schema("#/$defs/{model}"),
    }


def _after(collection: Collection, cursor: str | None) -> Select[Any]:
    columns = [collection.table.c[name] for name in collection.key]
    query = select(collection.table).order_by(*columns)
    if cursor is None:
        return query
    after = zip(_read_cursor(collection, cursor), columns, strict=True)
    return query.where(tuple_(*columns) > tuple_(*(literal(value, column.type) for value, column in after)))


def _read_cursor(collection: Collection, cursor: str) -> tuple[Any, ...]:
    try:
        key: list[Any] = read_cursor(cursor, _KEY)
        return collection.parse_key(dict(zip(collection.key, key, strict=True)))
    except (ValueError, InvalidAdd):
        raise no_cursor() from None
