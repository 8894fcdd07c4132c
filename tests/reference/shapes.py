"""JSON Schemas in a reader's words."""

from collections.abc import Iterator
from typing import Any

_WORDS = {
    ("string", None): "text",
    ("string", "uuid"): "UUID",
    ("string", "date-time"): "time",
    ("string", "cursor"): "cursor",
    ("integer", None): "integer",
    ("number", None): "number",
    ("boolean", None): "true or false",
    ("null", None): "null",
}


class Shapes:
    """Those of `schemas` that were asked for, and what they are made of."""

    def __init__(self, schemas: dict[str, dict[str, Any]]) -> None:
        self._schemas = schemas
        self._wanted: dict[str, None] = {}

    def ask_for(self, schema: Any) -> None:
        if isinstance(schema, list):
            for one in schema:
                self.ask_for(one)
        elif isinstance(schema, dict):
            if (reference := schema.get("$ref")) and (name := reference.rpartition("/")[2]) not in self._wanted:
                self._wanted[name] = None
                self.ask_for(self._schemas[name])
            for part in schema.values():
                self.ask_for(part)

    def sections(self) -> Iterator[str]:
        for name in sorted(self._wanted, key=_title):
            shape = self._schemas[name]
            yield f"### {_title(name)}"
            yield ""
            if described := shape.get("description"):
                yield " ".join(described.split())
                yield ""
            if values := shape.get("enum"):
                yield f"One of {', '.join(f'`{value}`' for value in values)}."
                yield ""
            if fields := shape.get("properties"):
                yield "| field | holds | |"
                yield "|---|---|---|"
                yield from (_field(name, field) for name, field in fields.items())
                yield ""


def named(schema: dict[str, Any]) -> str:
    """What `schema` takes, in a few words."""
    if reference := schema.get("$ref"):
        title = _title(reference.rpartition("/")[2])
        return f"[{title}](#{title.lower()})"
    if alternatives := schema.get("anyOf"):
        return " or ".join(named({**schema, **one, "anyOf": None}) for one in alternatives)
    if parts := schema.get("allOf"):
        return " with ".join(named(part) for part in parts)
    if values := schema.get("enum") or [value for value in [schema.get("const")] if value]:
        return ", ".join(f"`{value}`" for value in values)
    return _of_type(str(schema.get("type")), schema)


def _of_type(kind: str, schema: dict[str, Any]) -> str:
    if kind == "array":
        return f"list of {named(schema['items'])}"
    if kind == "object":
        return _object(schema)
    return _WORDS.get((kind, schema.get("format"))) or _WORDS.get((kind, None), "anything")


def _object(schema: dict[str, Any]) -> str:
    if fields := schema.get("properties"):
        return ", ".join(f"`{name}`: {named(field)}" for name, field in fields.items())
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        keys = schema.get("propertyNames")
        return f"object of {named(values)} by {named(keys) if keys else 'name'}"
    return "object"


def _field(name: str, field: dict[str, Any]) -> str:
    return f"| `{name}` | {named(field)} | {field.get('description', '')} |"


def _title(name: str) -> str:
    """Pydantic tells two models of one name apart by their modules, as in api__health__Status."""
    module, _, own = name.rpartition("__")
    return {"api__health": "Readiness"}.get(module, own) if module else name.removesuffix("-Input")
