"""What every route of the page has in common: who may send a form, and how an error looks."""

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response

from api.callers import Scope, for_everybody, for_people, needs
from api.page.rendering import Pages
from api.problems import ProblemError, refuse
from api.requests import read_body
from shared.problems import Kind, Problem

Endpoint = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 20
MAX_FORM = 16 * 1024
FORM_TIMEOUT_S = 30.0
"""How long a form may take to come."""
"""Bytes of a form that carries no add."""

_INNER = re.compile(r"/(ui/[\w/-]*(\?[\w=&%.:+-]*)?)?")


def route(app: FastAPI, pages: Pages, method: str, path: str, endpoint: Endpoint, *scopes: Scope) -> None:
    """Let `endpoint` answer callers with one of `scopes` at `path`, or everybody; a problem is shown as a page."""

    @for_people
    @(needs(*scopes) if scopes else for_everybody)
    async def answer(request: Request) -> Response:
        try:
            if request.method == "POST":
                require_same_origin(request)
            return await endpoint(request)
        except ProblemError as error:
            return pages.show_problem(request, error)

    app.router.add_route(path, answer, methods=[method], include_in_schema=False)


def require_same_origin(request: Request) -> None:
    """A form counts only when it was sent from a page of this server (OWASP: verifying origin, fetch metadata).

    A browser says where a form comes from in `Sec-Fetch-Site`, over plain HTTP to another machine only in `Origin`,
    and no page can make it say otherwise. What says neither is no browser, and has the API.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    is_ours = site == "same-origin" if site else origin is not None and _host(origin) == request.headers.get("host")
    if not is_ours:
        raise refuse(Kind.FOREIGN, "a form counts only when it was sent from a page of this server")


def _host(origin: str) -> str:
    return origin.partition("://")[2]


async def read_fields(request: Request, limit: int) -> list[tuple[str, str]]:
    """The fields of a form, in their order."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise refuse(Kind.MEDIA, f"send the form as {FORM}")
    body = await read_body(request, limit, FORM_TIMEOUT_S)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise refuse(Kind.MALFORMED, "the form cannot be read") from None


def inner_path(text: str) -> str | None:
    """`text` where it is the address of one of our pages: what a form says is no reason to lead elsewhere."""
    return text if _INNER.fullmatch(text) else None


async def or_problem(asked: Awaitable[T]) -> T | Problem:
    """What was asked for, or why it could not be had: the rest of a page is shown all the same."""
    try:
        return await asked
    except ProblemError as error:
        return error.problem
