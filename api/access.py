"""The way in: every request passes here first, and ends here unless its caller may go on.

What a request needs is declared beside its endpoint (`api.callers.needs`) and found by the app's own routes, so
there is no second list of addresses. Nobody without a key learns which addresses there are.
"""

import math
from collections.abc import Callable
from typing import Any

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.callers import ANYBODY, CALLER, STRANGER, Caller, Needs, needs_of
from api.cookies import key_in_cookie
from api.keyring import Keyring, State
from api.local import is_local
from api.problems import ProblemError, refuse, respond
from api.roots import path_of, root_of
from shared.problems import Kind
from shared.rates import Left, Rate, Rates

MAKE_A_KEY = "make a key with `dibs keys create NAME --scope add --scope read`"

RefusePage = Callable[[Scope, ProblemError], ASGIApp]
"""Makes the answer to a request for a page that is refused."""

SAFE = frozenset({"GET", "HEAD"})

CHALLENGE = {"WWW-Authenticate": "Bearer"}
NO_KEY = "send a key: Authorization: Bearer dibs_…"
WRONG_KEY = "this key is not known, has expired or was revoked"
NOT_LOCAL = f"no key was made yet, so only this machine may ask: {MAKE_A_KEY}"

_KNOWN_PATH = Needs(frozenset())
"""What it takes to be told that there is nothing at an address: a key, whatever it allows."""


class Access:
    """ASGI middleware: sets the scope's caller, or refuses."""

    def __init__(self, app: ASGIApp, keyring: Keyring, rates: Rates, refuse_page: RefusePage) -> None:
        self._app = app
        self._refuse_page = refuse_page
        self._keyring = keyring
        self._rates = rates
        self._routes = _Routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # policy violation (RFC 6455): there are none here
            return
        needed = self._routes.need(scope)
        try:
            caller = self._anyone(scope) if needed.is_for_everybody else await self._caller(scope, needed)
            if needed.scopes and needed.scopes.isdisjoint(caller.scopes):
                raise _lacking(needed)
            if caller.rate is not None and not needed.is_for_everybody:
                send = await self._limited(caller, caller.rate, send)
        except ProblemError as refused:
            answer = (
                self._refuse_page(scope, refused)
                if needed.is_page
                else respond(refused.problem, root_of(scope), headers=refused.headers)
            )
            await answer(scope, receive, send)
            return
        scope[CALLER] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope, needed: Needs) -> Caller:
        """Who asks; raises the refusal of whoever may not."""
        keyring = self._keyring
        if keyring.state is State.UNREAD:
            raise refuse(Kind.KEYS_UNREAD, "the database could not be asked for the keys since this server started")
        key = _key_in(scope)
        if key is not None:
            caller = keyring.find(key) or await keyring.look_again(key)
            if caller is not None:
                return caller
        elif (cookie := _key_of_browser(scope, needed)) is not None:
            # A browser sends it by itself: one that is not good any more is as none.
            caller = keyring.find(cookie) or await keyring.look_again(cookie)
            if caller is not None:
                return caller
        if keyring.state is State.OPEN and (key is None or not key.startswith(b"dibs_")):
            if not is_local(scope):
                raise refuse(Kind.FORBIDDEN, NOT_LOCAL)
            return ANYBODY
        raise refuse(Kind.UNAUTHORIZED, NO_KEY if key is None else WRONG_KEY, headers=CHALLENGE)

    def _anyone(self, scope: Scope) -> Caller:
        """Who asks for what is everybody's: it may still be somebody who is told more."""
        if self._keyring.state is State.OPEN and is_local(scope):
            return ANYBODY
        key = _key_in(scope) or (key_in_cookie(scope) if scope["method"] in SAFE else None)
        return (self._keyring.find(key) if key else None) or STRANGER

    async def _limited(self, caller: Caller, rate: Rate, send: Send) -> Send:
        """`send` with the headers that tell what is left; raises the refusal where nothing is."""
        left = await self._rates.spend(caller.key, rate)
        if left is None:
            return send
        if not left.is_paid:
            raise too_many(rate, left)
        told = [(name.lower().encode(), value.encode()) for name, value in rate_headers(rate, left).items()]

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        return telling


def rate_headers(rate: Rate, left: Left) -> dict[str, str]:
    """What is left, as draft-ietf-httpapi-ratelimit-headers-10 tells it: `t` is until all of the quota is back."""
    return {
        "RateLimit-Policy": f'"key";q={rate.quota};w={rate.window_s}',
        "RateLimit": f'"key";r={left.remaining};t={math.ceil(left.whole_in_s)}',
    }


def too_many(rate: Rate, left: Left, done: str = "") -> ProblemError:
    """The refusal of a request that `left` does not allow."""
    again_s = max(1, math.ceil(left.payable_in_s))
    headers = {"Retry-After": str(again_s), **rate_headers(rate, left)}
    return refuse(Kind.RATE_LIMITED, f"this key may send {rate}; again in {again_s} s{done}", headers=headers)


def _key_in(scope: Scope) -> bytes | None:
    """The token of the one `Authorization: Bearer` (RFC 6750); None where there is none, or none that is one."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1 or given[0][:7].lower() != b"bearer ":
        return None
    key: bytes = given[0][7:].strip()
    return key


def _key_of_browser(scope: Scope, needed: Needs) -> bytes | None:
    """The key in the cookie, where it counts: for what changes nothing, and for the page, which looks where its
    forms come from. So no other site can use what a browser sends along by itself.
    """
    return key_in_cookie(scope) if needed.is_page or scope["method"] in SAFE else None


def _lacking(needed: Needs) -> ProblemError:
    wanted = " or ".join(sorted(needed.scopes))
    return refuse(Kind.FORBIDDEN, f"the key lacks the scope for this: {wanted}")


class _Routes:
    """What each address needs, by the app's own routes. Addresses without parameters are looked up once."""

    def __init__(self) -> None:
        self._plain: dict[tuple[str, str], Needs] = {}

    def need(self, scope: Scope) -> Needs:
        method, path = scope["method"], path_of(scope)
        known = self._plain.get((method, path))
        if known is not None:
            return known
        for route in scope["app"].router.routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                needed = needs_of(endpoint_of(route))
                # A mount takes any method, and those could be made up without end.
                if getattr(route, "path", None) == path and getattr(route, "methods", None):
                    self._plain[method, path] = needed
                return needed
        return _KNOWN_PATH


def endpoint_of(route: BaseRoute) -> Any:
    """What declares the needs of `route`: its endpoint, or the app that is mounted there."""
    return getattr(route, "endpoint", None) or getattr(route, "app", None)
