"""The cookie in which a browser keeps a key: what the operator's page uses in the place of `Authorization`.

It holds the key itself, so there is no session to be kept, and a key that is revoked ends it at once. No script can
read it, and no other site can have it sent along.
"""

import re

from fastapi import Request, Response
from starlette.types import Scope

from api.roots import root_of

NAME = "dibs_key"

_COOKIE = re.compile(rb"(?:^|;)\s*" + NAME.encode() + rb"\s*=\s*\"?([^\";\s]+)")


def key_in_cookie(scope: Scope) -> bytes | None:
    """The first that there is: a browser sends the one of the longest path first (RFC 6265, 5.4), so one of another
    dibs that stands further up on the same host does not hide ours.
    """
    for name, value in scope["headers"]:
        if name == b"cookie" and (found := _COOKIE.search(value)):
            key: bytes = found[1]
            return key
    return None


def keep_key(answer: Response, request: Request, key: str) -> None:
    """Until the browser is closed."""
    is_secure = request.url.scheme == "https"
    answer.set_cookie(NAME, key, path=_path(request), secure=is_secure, httponly=True, samesite="strict")


def forget_key(answer: Response, request: Request) -> None:
    answer.delete_cookie(NAME, path=_path(request), httponly=True, samesite="strict")


def _path(request: Request) -> str:
    return root_of(request.scope) or "/"
