"""The cookie in which a browser keeps a key: what the operator's page uses in the place of `Authorization`.

It holds the key itself, so there is no session to be kept, and a key that is revoked ends it at once. No script can
read it, and no other site can have it sent along.
"""

from fastapi import Request, Response
from starlette.requests import cookie_parser
from starlette.types import Scope

NAME = "dibs_key"


def key_in_cookie(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"cookie" and (key := cookie_parser(value.decode("latin-1")).get(NAME)):
            return key.encode("latin-1", "replace")
    return None


def keep_key(answer: Response, request: Request, key: str) -> None:
    """Until the browser is closed."""
    is_secure = request.url.scheme == "https"
    answer.set_cookie(NAME, key, path="/", secure=is_secure, httponly=True, samesite="strict")


def forget_key(answer: Response) -> None:
    answer.delete_cookie(NAME, path="/", httponly=True, samesite="strict")
