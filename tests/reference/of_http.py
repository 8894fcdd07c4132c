"""The operations of the app's OpenAPI, and the shapes of what they answer, as Markdown."""

import asyncio
from collections.abc import Iterator
from functools import cache
from typing import Any

from api.callers import Scope
from api.main import make_app
from api.openapi import BEFORE_ANY_ROUTE
from api.problems import responses
from shared.database import open_database
from shared.problem_kinds import ABOUT, About
from shared.problems import MEDIA_TYPE, Kind
from shared.queue import Queue
from tests.build import HANDLES, MODELS, make_fake_redis, make_settings
from tests.reference.shapes import Shapes, named

EVERYWHERE = frozenset(
    kind
    for told in (
        BEFORE_ANY_ROUTE,
        responses(Kind.UNAUTHORIZED, Kind.FORBIDDEN, Kind.RATE_LIMITED, Kind.KEYS_UNREAD, Kind.BUSY, Kind.INTERNAL),
    )
    for answer in told.values()
    for kind in answer["content"][MEDIA_TYPE]["examples"]
)
"""Problems that the page tells once, for they may come from any address."""

TITLES = {
    "add": "Add",
    "bulk": "Add many",
    "jobs": "Jobs",
    "collections": "Collections",
    "health": "The server",
    "problems": "Problems",
}


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI of an app with one collection beside the first: it stands for all that an adopter has."""

    async def made() -> dict[str, Any]:
        database, redis = open_database("sqlite+aiosqlite:///nowhere.db"), make_fake_redis()
        app = make_app(make_settings(models=MODELS), database=database, queue=Queue(redis, "reference", limit=1))
        told: dict[str, Any] = app.openapi()
        await database.close()
        await redis.aclose(close_connection_pool=True)
        return told

    return asyncio.run(made())


def operations() -> Iterator[str]:
    yield "Any address may answer with"
    yield ""
    for about in ABOUT.values():
        if about.kind in EVERYWHERE and about.status:
            yield f"- {_problem(about)}: {about.title[0].lower()}{about.title[1:]}"
    yield ""
    for tag, title in TITLES.items():
        yield f"## {title}"
        yield ""
        for path, method, operation in _calls():
            if operation["tags"] == [tag]:
                yield from _operation(path, method, operation)


def shapes() -> Iterator[str]:
    told = Shapes(schema()["components"]["schemas"])
    for _, _, operation in _calls():
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                told.ask_for(content["schema"])
    return told.sections()


def _calls() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema()["paths"].items():
        if path == "/add/animals":
            continue  # told by the other
        for method, operation in methods.items():
            yield path.replace(f"/{HANDLES.name}", "/{collection}"), method.upper(), operation


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method} {path}`"
    yield ""
    yield f"{operation['summary'].replace(f'into {HANDLES.name}', 'into the collection')}. {_scopes(operation)}"
    yield ""
    if described := operation.get("description"):
        yield described
        yield ""
    if parameters := operation.get("parameters"):
        yield "| parameter | in | takes | |"
        yield "|---|---|---|---|"
        yield from (_parameter(parameter) for parameter in parameters)
        yield ""
    for media in operation.get("requestBody", {}).get("content", {}):
        yield f"The body is `{media}`."
        yield ""
    yield from _answers(operation["responses"])
    yield ""


def _scopes(operation: dict[str, Any]) -> str:
    given = {scope for alternative in operation["security"] for scope in alternative["key"]}
    scopes = [str(scope) for scope in Scope if scope in given]
    if not scopes:
        return "For everybody."
    *others, last = [f"`{scope}`" for scope in scopes]
    return f"For keys with {', '.join(others)} or {last}."


def _parameter(parameter: dict[str, Any]) -> str:
    shape = parameter["schema"]
    takes = named({name: value for name, value in shape.items() if name != "enum"})
    if shape.get("minimum") is not None:
        takes += (
            f", {shape['minimum']:,} to {shape['maximum']:,}" if "maximum" in shape else f", from {shape['minimum']}"
        )
    if shape.get("default") not in (None, [], False):
        takes += f", {shape['default']} unless given"
    return f"| `{parameter['name']}` | {parameter['in']} | {takes} | {parameter.get('description', '')} |"


def _answers(answers: dict[str, Any]) -> Iterator[str]:
    """A line for each answer that is no problem, and one for all problems that are this operation's own."""
    problems: list[str] = []
    for status, answer in sorted(answers.items()):
        content = answer.get("content", {})
        kinds = sorted(set(content.get(MEDIA_TYPE, {}).get("examples", {})) - EVERYWHERE)
        problems += [_problem(ABOUT[Kind(kind)]) for kind in kinds]
        shapes = [_shape(media, one["schema"]) for media, one in content.items() if media != MEDIA_TYPE]
        if shapes or status < "300":
            yield f"- **{status}** {'; '.join(filter(None, [_said(answer), *shapes]))}{_headers(answer)}"
    if problems:
        yield f"- {', '.join(problems)}"


def _problem(about: About) -> str:
    return f"{about.status.value if about.status else ''} [{about.kind}](errors.md#{about.kind})"


def _said(answer: dict[str, Any]) -> str:
    said: str = answer["description"]
    return "" if said == "Successful Response" else said


def _shape(media: str, schema: dict[str, Any]) -> str:
    return named(schema) if media == "application/json" else f"`{media}`"


def _headers(answer: dict[str, Any]) -> str:
    names = ", ".join(f"`{name}`" for name in answer.get("headers", {}))
    return f". Headers: {names}" if names else ""
