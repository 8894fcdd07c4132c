"""The fields of `Settings` as tables: their variables, defaults, bounds, and what is written beneath each."""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic.fields import FieldInfo

from shared.settings import Settings

GROUPS = {
    "Every process": ("database_url", "redis_url", "queue_name", "models", "data_dir", "log_level", "log_format"),
    "Where the api listens": ("host", "port", "root_path", "max_connections"),
    "What a request may bring": (
        "max_body_bytes", "max_line_bytes", "max_candidates", "max_text_chars", "max_json_depth", "max_number_digits",
        "max_url_bytes", "max_header_bytes", "max_headers", "header_timeout_s", "body_timeout_s",
    ),
    "What the api takes in and holds": ("queue_limit", "max_wait_s", "max_waits", "max_event_streams"),
    "Keys": ("keys_refresh_s", "rate_limit"),
    "The worker": (
        "concurrency", "poll_delay_s", "lease_s", "max_tries", "max_deaths", "metrics_host", "metrics_port",
    ),
    "Stopping": ("grace_s", "drain_s"),
}  # fmt: skip


def settings() -> Iterator[str]:
    said = _docstrings()
    for title, names in GROUPS.items():
        yield f"## {title}"
        yield ""
        yield "| setting | default | takes | |"
        yield "|---|---|---|---|"
        for name in names:
            field = Settings.model_fields[name]
            yield f"| `{_variable(name)}` | {_default(field)} | {_bounds(field)} | {said[name]} |"
        yield ""


def _docstrings() -> dict[str, str]:
    """What stands beneath each field. Python throws it away, so it is read from the source."""
    [made] = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(made, ast.ClassDef)
    said: dict[str, str] = {}
    for field, below in zip(made.body, made.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            said[field.target.id] = _named(" ".join(ast.literal_eval(below.value).split()))
    return said


def _named(text: str) -> str:
    """Fields that the text names, by their variables: an operator sees those."""
    return re.sub("`([a-z_]+)`", lambda found: f"`{_variable(found[1])}`" if _is_field(found[1]) else found[0], text)


def _is_field(name: str) -> bool:
    return name in Settings.model_fields


def _variable(name: str) -> str:
    return f"DIBS_{name.upper()}"


def _default(field: FieldInfo) -> str:
    if field.default in (None, (), ""):
        return ""
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def _bounds(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return _any_of(get_args(field.annotation))
    told = ""
    for bound in field.metadata:
        match bound:
            case MinLen():
                told = "not empty"
            case Ge(ge):
                told = f"{ge:,} or more"
            case Gt(gt):
                told = f"above {gt:,} or more"
            case Le(le):
                told = f"{told.removesuffix(' or more')} to {le:,}"
            case _ if choices := re.fullmatch(r"\^\(([A-Z|]+)\)\$", getattr(bound, "pattern", "")):
                told = _any_of(choices[1].split("|"))
    return told


def _any_of(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)
