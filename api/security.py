"""What OpenAPI says of the way in: the keys, and which scopes each operation takes."""

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute

from api.access import endpoint_of
from api.callers import needs_of
from api.problems import responses
from shared.problems import Kind

SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key made by `dibs keys create`. Not needed on this machine as long as no key was ever made.",
}


def tell_security(routes: Sequence[BaseRoute], schema: dict[str, Any]) -> None:
    """Put into the OpenAPI `schema` what each operation needs: any one of the alternatives."""
    schema.setdefault("components", {}).setdefault("securitySchemes", {})["key"] = SCHEME
    for route in routes:
        operations = schema["paths"].get(getattr(route, "path_format", None), {})
        needed = needs_of(endpoint_of(route))
        for method in getattr(route, "methods", None) or ():
            if (operation := operations.get(method.lower())) is None:
                continue
            operation["security"] = [{"key": [scope]} for scope in sorted(needed.scopes)]
            if not needed.is_for_everybody:
                told = responses(Kind.UNAUTHORIZED, Kind.FORBIDDEN, Kind.RATE_LIMITED, Kind.KEYS_UNREAD)
                for status, response in told.items():
                    _join(operation["responses"].setdefault(str(status), response), response)


def _join(known: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the examples of `more` to `known`, a response of the same status."""
    for media, content in more["content"].items():
        known["content"][media]["examples"] |= content["examples"]
