"""Where the app stands on its server: what comes before each of its own addresses when a caller is told of them.

Within the app, and wherever they are stored, addresses begin with a slash and know nothing of that. An app that is
mounted below /names, or shown there by a proxy that its server knows of, is told so by ASGI's `root_path`.
"""

from functools import lru_cache
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.types import Scope

__all__ = ["note_root", "path_of", "root_of"]

path_of = get_route_path
"""The path of a request within the app."""

_ROOT = "dibs.root"


def note_root(scope: Scope) -> None:
    """Remember where the app stands, before the mounts inside of it change `root_path` to where they do."""
    root_path = scope.get("root_path")
    scope[_ROOT] = _as_address(root_path) if root_path else ""


def root_of(scope: Scope) -> str:
    """Nothing, or such as /names."""
    root: str = scope.get(_ROOT, "")
    return root


@lru_cache(maxsize=1024)
def _as_address(root_path: str) -> str:
    """A mount may have parameters, which are what a caller wrote: one slash, or it would lead to another server."""
    root = root_path.strip("/")
    return "/" + quote(root) if root else ""
