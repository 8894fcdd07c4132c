"""GET and POST /ui/login, POST /ui/logout: a browser gets a key to keep, and forgets it."""

from fastapi import FastAPI, Request, Response

from api.cookies import forget_key, keep_key
from api.keyring import Keyring
from api.page.frame import MAX_FORM, inner_path, read_fields, route
from api.page.rendering import Pages, go


def install(app: FastAPI, keyring: Keyring, pages: Pages) -> None:

    def form(request: Request, wanted: str, *, is_wrong: bool = False) -> Response:
        return pages.render(request, "login.html", status=403 if is_wrong else 200, wanted=wanted, is_wrong=is_wrong)

    async def blank(request: Request) -> Response:
        return form(request, inner_path(request.query_params.get("next", "")) or "/")

    async def login(request: Request) -> Response:
        fields = dict(await read_fields(request, MAX_FORM))
        wanted = inner_path(fields.get("next", "")) or "/"
        key = fields.get("key", "").strip()
        given = key.encode()
        if (keyring.find(given) or await keyring.look_again(given)) is None:
            return form(request, wanted, is_wrong=True)
        answer = go(request, wanted)
        keep_key(answer, request, key)
        return answer

    async def logout(request: Request) -> Response:
        answer = go(request, "/ui/login")
        forget_key(answer, request)
        return answer

    route(app, pages, "GET", "/ui/login", blank)
    route(app, pages, "POST", "/ui/login", login)
    route(app, pages, "POST", "/ui/logout", logout)
