"""Who asks, what it may do, and what an endpoint needs of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from fastapi import Request

from shared.rates import Rate
from shared.scopes import Scope

__all__ = [
    "ANYBODY",
    "CALLER",
    "STRANGER",
    "Caller",
    "Needs",
    "Scope",
    "caller_of",
    "for_everybody",
    "for_people",
    "needs",
    "needs_of",
]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Caller:
    """Jobs, bulks and idempotency keys belong to the caller's name; a limit counts for the key that it came with."""

    name: str
    scopes: frozenset[Scope]
    key: str = ""
    rate: Rate | None = None

    def may_see(self, owner: str) -> bool:
        return self.name == owner or Scope.ADMIN in self.scopes


ANYBODY = Caller("", frozenset(Scope))
"""Whoever asks while the door is open."""

CALLER = "dibs.caller"
"""Where the way in puts whom it found, in the scope of a request."""

STRANGER = Caller("?", frozenset())
"""Whoever asks without a key for what everybody may see; no caller and no owner can be called so."""


def caller_of(request: Request) -> Caller:
    """The caller of `request`, as the way in found it; there is no other way in."""
    caller: Caller = request.scope[CALLER]
    return caller


class Needs(NamedTuple):
    """What an endpoint needs of its caller: one of `scopes`, unless it is for everybody."""

    scopes: frozenset[Scope]
    is_for_everybody: bool = False
    is_page: bool = False
    """Asked for by people: their browser may bring the key in its cookie, and a refusal is a page as well."""


_UNDECLARED = Needs(frozenset({Scope.ADMIN}))
_DECLARED_AS = "__dibs_needs__"


def needs(*scopes: Scope) -> Callable[[Endpoint], Endpoint]:
    """Declare that an endpoint takes callers with one of `scopes`; `admin` is always enough."""

    def declare(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)[_DECLARED_AS] = Needs(frozenset({*scopes, Scope.ADMIN}))
        return endpoint

    return declare


def for_everybody(endpoint: Endpoint) -> Endpoint:
    """Declare that an endpoint takes everybody, with a key or without."""
    vars(endpoint)[_DECLARED_AS] = Needs(frozenset(), is_for_everybody=True)
    return endpoint


def for_people(endpoint: Endpoint) -> Endpoint:
    """Declare, beside what else it needs, that an endpoint is a page."""
    vars(endpoint)[_DECLARED_AS] = needs_of(endpoint)._replace(is_page=True)
    return endpoint


def needs_of(endpoint: object) -> Needs:
    """What `endpoint` declared; one that declared nothing is for admins."""
    declared = getattr(endpoint, _DECLARED_AS, _UNDECLARED)
    assert isinstance(declared, Needs)
    return declared
