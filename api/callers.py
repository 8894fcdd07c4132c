"""Who asks: the caller's name and what it may do."""

from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request


class Scope(StrEnum):
    """What a caller may do: add and cancel, read, or everything and for everybody."""

    ADD = "add"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """Jobs, bulks and idempotency keys belong to the caller's name."""

    name: str
    scopes: frozenset[Scope]

    def may_see(self, owner: str) -> bool:
        return self.name == owner or Scope.ADMIN in self.scopes


ANYBODY = Caller("", frozenset(Scope))
"""Whoever asks while the door is open."""


def caller_of(request: Request) -> Caller:
    """The caller of `request`, as the way in found it."""
    caller: Caller = getattr(request.state, "caller", ANYBODY)
    return caller
