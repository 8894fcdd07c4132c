"""Templates to answers, with the headers that keep them ours: nothing from elsewhere, nothing inline, no framing."""

import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as ASGIScope

from api.callers import CALLER, STRANGER, Caller, Scope
from api.page import words
from api.problem_pages import wants_html
from api.problems import ProblemError, respond
from api.roots import path_of, root_of
from shared.clock import utc_now
from shared.encoding import encode
from shared.problems import Kind

HERE = Path(__file__).parent
STATIC = "/ui/static"

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
FRESH = {"Cache-Control": "no-store"}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}

HTMX_CONFIG = encode(
    {
        "includeIndicatorCSS": False,
        "history": False,
        # What is not the page that was asked for stays out of it: the page says that it is old instead.
        "noSwap": [204, 304, "4xx", "5xx"],
        # Whether a part is folded open is the reader's.
        "morphIgnore": ["data-htmx-powered", "open"],
    }
).decode()


class Static(StaticFiles):
    """The page's own files. Their addresses carry a digest, so that a browser asks for each version once."""

    def __init__(self) -> None:
        super().__init__(directory=HERE / "static")

    async def get_response(self, path: str, scope: ASGIScope) -> Response:
        answer = await super().get_response(path, scope)
        is_versioned = bool(scope["query_string"]) and answer.status_code in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
        answer.headers.update(HEADERS | (FOR_EVER if is_versioned else {}))
        return answer


class Pages:
    """Renders the templates; made once for each app."""

    def __init__(self) -> None:
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in HERE.glob("static/*")}
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals |= {
            "static": lambda name: f"{STATIC}/{name}?{digests[name]}",
            "htmx_config": HTMX_CONFIG,
        }
        self._environment.filters |= {
            name: getattr(words, name)
            for name in ("number", "span", "ago", "stamp", "minute", "field", "plain", "candidate")
        }
        self._environment.globals["took"] = words.took

    def render(self, request: Request, template: str, *, status: int = 200, **content: Any) -> Response:
        """The page `template`, never to be cached: it is of this moment and of this caller."""
        caller: Caller = request.scope.get(CALLER, STRANGER)
        body = self._environment.get_template(template).render(
            root=root_of(request.scope),
            caller=caller,
            may_add=not caller.scopes.isdisjoint({Scope.ADD, Scope.ADMIN}),
            now=utc_now(),
            **content,
        )
        return HTMLResponse(body, status, HEADERS | FRESH)

    def show_problem(self, request: Request, error: ProblemError) -> Response:
        """For a browser; whoever does not ask for HTML is answered as everywhere else."""
        told = error.problem
        if not wants_html(request):
            return respond(told, root_of(request.scope), headers=error.headers)
        answer = self.render(request, "problem.html", status=told.status or 500, problem=told)
        answer.headers.update(error.headers or {})
        return answer

    def refuse(self, scope: ASGIScope, error: ProblemError) -> Response:
        """What a browser is answered that may not have a page: where a key would help, the form that takes one."""
        request = Request(scope)
        if error.problem.kind is not Kind.UNAUTHORIZED or not wants_html(request):
            return self.show_problem(request, error)
        root, path, query = root_of(scope), path_of(scope), request.scope["query_string"].decode("latin-1")
        wanted = f"{path}?{query}" if query else path
        login = f"/ui/login?{urlencode({'next': wanted})}" if request.method == "GET" else "/ui/login"
        if "hx-request" in request.headers:
            return Response(None, HTTPStatus.UNAUTHORIZED, {"HX-Redirect": f"{root}/ui/login"})
        if request.headers.get("sec-fetch-site") == "cross-site" and request.method == "GET":
            # A link from another site, such as a chat: the browser keeps the cookie back, but not the next time.
            return self.render(request, "bounce.html", wanted=wanted, login=login)
        return go(request, login)


def go(request: Request, address: str) -> Response:
    """Off to `address` within the app with a GET, after a form was taken in."""
    return RedirectResponse(root_of(request.scope) + address, HTTPStatus.SEE_OTHER, HEADERS | FRESH)
