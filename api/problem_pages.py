"""GET /problems and /problems/{kind}: what the `type` of a problem leads to."""

import re
from collections.abc import Iterable
from html import escape

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from api.callers import Scope, needs
from api.problems import refuse, responses
from api.roots import root_of
from shared.problem_kinds import ABOUT, About
from shared.problems import Kind

HTML = "text/html"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem;
        color: CanvasText; background: Canvas; color-scheme: light dark; }}
code {{ font-family: ui-monospace, monospace; }}
dt {{ font-weight: 600; margin-top: 1rem; }}
dd {{ margin: 0; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


class ProblemKind(BaseModel):
    """A kind of problem. `status` is null where it stands in the `error` of a failed job."""

    type: str
    title: str
    status: int | None
    meaning: str
    remedy: str

    @classmethod
    def of(cls, about: About, root: str) -> "ProblemKind":
        status = about.status.value if about.status else None
        return cls(type=root + about.page, title=about.title, status=status, meaning=about.meaning, remedy=about.remedy)


class ProblemKinds(BaseModel):
    problems: list[ProblemKind]


def install(app: FastAPI) -> None:
    html = {"content": {HTML: {"schema": {"type": "string"}}}, "description": "For a browser, or as JSON"}

    @app.get(
        "/problems",
        tags=["problems"],
        summary="The kinds of problems",
        response_model=ProblemKinds,
        responses={200: html},
    )
    @needs(Scope.ADD, Scope.READ)
    async def kinds(request: Request) -> Response:
        root = root_of(request.scope)
        if wants_html(request):
            return _page("Problems", _list(ABOUT.values(), root))
        return _json(ProblemKinds(problems=[ProblemKind.of(about, root) for about in ABOUT.values()]))

    @app.get(
        "/problems/{kind}",
        tags=["problems"],
        summary="What a problem means, and what to do",
        description="The `type` of a problem is the address of its page.",
        response_model=ProblemKind,
        responses={200: html, **responses(Kind.NOT_FOUND)},
    )
    @needs(Scope.ADD, Scope.READ)
    async def one(kind: str, request: Request) -> Response:
        about = next((about for about in ABOUT.values() if about.kind == kind), None)
        if about is None:
            raise refuse(Kind.NOT_FOUND, "there is no such kind of problem; /problems lists them")
        root = root_of(request.scope)
        return _page(about.title, _about(about, root)) if wants_html(request) else _json(ProblemKind.of(about, root))


def wants_html(request: Request) -> bool:
    """Whether the caller asks for HTML by its name, as browsers do, and for JSON no sooner (RFC 9110, 12.5.1)."""
    weights = dict(map(_weighed, ",".join(request.headers.getlist("accept")).lower().split(",")))
    return weights.get(HTML, 0.0) > weights.get("application/json", 0.0)


def _weighed(accepted: str) -> tuple[str, float]:
    media, *parameters = (part.strip() for part in accepted.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media, float(value)
            except ValueError:
                return media, 0.0
    return media, 1.0


def _json(content: BaseModel) -> Response:
    return Response(content.model_dump_json(), 200, {"Vary": "Accept"}, "application/json")


def _page(title: str, body: str) -> Response:
    headers = {"Vary": "Accept", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(PAGE.format(title=escape(title), body=body), 200, headers, HTML)


def _list(kinds: Iterable[About], root: str) -> str:
    items = "".join(f'<li><a href="{root}{about.page}">{escape(about.title)}</a></li>\n' for about in kinds)
    return f"<h1>Problems</h1>\n<ul>\n{items}</ul>"


def _about(about: About, root: str) -> str:
    seen = f"{about.status.value} {about.status.phrase}" if about.status else "the error of a failed job"
    told = (("Type", f"<code>{root}{about.page}</code>"), ("Seen as", escape(seen)),
            ("What it means", _marked(about.meaning)), ("What to do", _marked(about.remedy)))  # fmt: skip
    facts = "".join(f"<dt>{name}</dt><dd>{text}</dd>\n" for name, text in told)
    return f'<h1>{escape(about.title)}</h1>\n<dl>\n{facts}</dl>\n<p><a href="{root}/problems">All problems</a></p>'


def _marked(text: str) -> str:
    """Text as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))
