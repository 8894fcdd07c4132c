"""The public surface: whoever adds to it or takes from it does so here as well, and in the reference."""

import inspect
import re
from typing import Any

import pytest

from shared.testing import fixtures
from shared.testing.clock import Clock
from shared.testing.faults import CODES, Faults
from shared.testing.points import Hold, Point, Points
from shared.testing.queue import ArqQueue, Enqueued, Ran
from shared.testing.sent import Sent
from shared.testing.servers import Servers
from shared.testing.templates import Templates
from tests.docs.blocks import ROOT

REFERENCE = (ROOT / "docs" / "testing" / "reference.md").read_text()

OVERRIDDEN = {
    "dibs_app", "dibs_engine_options", "dibs_metadata", "dibs_migrate", "dibs_session_dependency",
    "dibs_worker_settings",
}  # fmt: skip
USED = {
    "dibs_choice", "dibs_client", "dibs_clock", "dibs_engine", "dibs_faults", "dibs_leaks", "dibs_points",
    "dibs_queue", "dibs_redis", "dibs_sent", "dibs_servers", "dibs_sessions", "dibs_templates", "dibs_url",
}  # fmt: skip
MEMBERS: dict[type[Any], set[str]] = {
    ArqQueue: {"assert_enqueued", "close", "drain", "jobs", "work_all"},
    Clock: {"move", "now", "stop"},
    Enqueued: {"has"},
    Faults: {"check", "listening", "next_commit", "next_flush", "next_statement"},
    Hold: {"reached", "release"},
    Points: {"check", "do", "hold", "kill", "listening", "meet"},
    Ran: set(),
    Sent: {"clear", "listening", "listening_to", "note", "outline"},
    Servers: {"close", "has_copy_strategies", "postgres", "postgres_url", "sql", "templates"},
    Templates: {"clone", "fast"},
}
INTERNAL = {"check", "close", "fast", "has", "has_copy_strategies", "listening", "listening_to", "note", "sql", "stop"}
"""What fixtures and the kit's own tests need."""


def fixture_names() -> set[str]:
    return {name for name in vars(fixtures) if name.startswith("dibs_")}


def test_fixtures() -> None:
    assert fixture_names() == OVERRIDDEN | USED


@pytest.mark.parametrize("name", sorted(OVERRIDDEN | USED))
def test_each_fixture_is_documented_and_typed(name: str) -> None:
    function = inspect.unwrap(getattr(fixtures, name)._get_wrapped_function())
    assert (function.__doc__ or "").startswith("Override") is (name in OVERRIDDEN)
    assert "return" in function.__annotations__
    assert f"`{name}`" in REFERENCE


@pytest.mark.parametrize("kind", MEMBERS, ids=lambda kind: kind.__name__)
def test_members(kind: type[Any]) -> None:
    members = {name for name in vars(kind) if not name.startswith("_")} - set(getattr(kind, "__annotations__", ()))
    assert members == MEMBERS[kind]


def test_the_reference_knows_every_member() -> None:
    wanted = {name for members in MEMBERS.values() for name in members} - INTERNAL
    told = set(re.findall(r"\w+", REFERENCE + (ROOT / "docs" / "testing" / "README.md").read_text()))
    assert wanted <= told


def test_the_reference_knows_every_fault_and_point() -> None:
    assert [fault for fault in CODES if f'"{fault}"' not in REFERENCE] == []
    words = {word for point in Point.__args__ for word in point.split()}  # type: ignore[attr-defined]  # a Literal has them
    assert [word for word in words if word not in REFERENCE] == []
