"""Named points in code that talks to a database, at which tests let jobs meet, hold them or kill them.

The points are SQLAlchemy's own events, so nothing in the application changes, and every session and engine of the
process has them.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args
from uuid import UUID
from weakref import WeakSet

from sqlalchemy import Engine, event
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_

from shared.points import Point as DibsPoint
from shared.points import listening
from shared.testing.places import place
from shared.testing.verbs import verb_of

Point = Literal[
    "before flush", "after flush", "before commit", "after commit", "after rollback",
    "before insert", "after insert", "before update", "after update",
    "before delete", "after delete", "before select", "after select",
]  # fmt: skip
"""Points of a session, and of the statements of any connection. dibs's own are in `shared.points`."""

AnyPoint = Point | DibsPoint
Action = Callable[[], Coroutine[Any, Any, None] | None]

SESSION_POINTS: tuple[Point, ...] = get_args(Point)[:5]


class Killed(GeneratorExit):
    """The process died here. Not an `Exception`, so that no handler of the application survives its own death.

    It is what a coroutine gets that is closed and not run any more, which even those let through who catch all else.
    `finally` blocks and exits of `with` run all the same; only a killed process runs nothing at all.
    """


class NeverHappened(AssertionError):  # noqa: N818
    """What the test prepared did not come to pass: nobody was where it waited."""


class Hold:
    """Somebody is held at a point, until `release`."""

    def __init__(self) -> None:
        self._here = asyncio.Event()
        self._go = asyncio.Event()

    async def reached(self, within_s: float = 5) -> None:
        """Return when somebody is there; raises `NeverHappened`."""
        try:
            async with asyncio.timeout(within_s):
                await self._here.wait()
        except TimeoutError:
            raise NeverHappened(f"nobody came to be held within {within_s:g} s") from None

    def release(self) -> None:
        self._go.set()

    async def _stay(self) -> None:
        self._here.set()
        await self._go.wait()


class _Armed:
    """What happens at a point, and how often still."""

    def __init__(self, what: str, point: str, table: str | None, skip: int, times: int, do: Action) -> None:
        self.what, self.point, self.table = what, point, table
        self.skip, self.times, self.do = skip, times, do

    def takes(self, point: str, statement: str) -> bool:
        if self.point != point or self.times == 0:
            return False
        if self.table is not None and not re.search(rf"\b{re.escape(self.table)}\b", statement):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True

    def __str__(self) -> str:
        return f"{self.what} {self.point}" + (f" of {self.table}" if self.table else "")


class Points:
    """Prepares what is to happen at points. `table` narrows a statement's point to those that name the table."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._committed: WeakSet[Session] = WeakSet()

    def meet(self, point: AnyPoint, *, table: str | None = None, parties: int = 2, within_s: float = 5) -> None:
        """Let the next `parties` that come to `point` wait for each other, then all go on.

        Who waits for longer than `within_s` gets `NeverHappened`. On SQLite two cannot meet after they wrote: there
        is one writer at a time.
        """
        barrier = asyncio.Barrier(parties)

        async def meeting() -> None:
            try:
                async with asyncio.timeout(within_s):
                    await barrier.wait()
            except (TimeoutError, asyncio.BrokenBarrierError):
                raise NeverHappened(f"{parties} were to meet {point}, and did not within {within_s:g} s") from None

        self._arm("meet", point, table, meeting, times=parties)

    def hold(self, point: AnyPoint, *, table: str | None = None) -> Hold:
        """Hold the next that comes to `point`; the test does what it likes meanwhile and then releases it."""
        hold = Hold()
        self._arm("hold", point, table, hold._stay)
        return hold

    def kill(self, point: AnyPoint, *, table: str | None = None, nth: int = 1) -> None:
        """Let the process of the `nth` that comes to `point` die there: it raises `Killed`."""

        def die() -> None:
            raise Killed(f"killed {point} at {place()}")

        self._arm("kill", point, table, die, skip=nth - 1)

    def do(self, point: AnyPoint, action: Callable[[], None], *, table: str | None = None) -> None:
        """Call `action` when somebody comes to `point` next, in its place: what it raises is raised there."""
        self._arm("do", point, table, action)

    def _arm(self, what: str, point: AnyPoint, table: str | None, do: Action, *, skip: int = 0, times: int = 1) -> None:
        known = [*get_args(Point), *DibsPoint]
        if point not in known:
            raise ValueError(f"there is no point {point!r}; there are {', '.join(known)}")
        if table is not None and (point in SESSION_POINTS or point in list(DibsPoint)):
            raise ValueError(f"{point} has no table; take a point of a statement")
        self._armed.append(_Armed(what, point, table, skip, times, do))

    def check(self) -> None:
        """Raises `NeverHappened` if something prepared did not happen: then the test shows nothing."""
        if left := [str(armed) for armed in self._armed if armed.times]:
            raise NeverHappened(f"prepared, and never happened: {'; '.join(left)}")

    def _at(self, point: str, statement: str = "") -> None:
        for armed in self._armed:
            if armed.takes(point, statement) and (waiting := armed.do()) is not None:
                _wait(waiting)

    async def _at_dibs(self, point: DibsPoint, _jobs: frozenset[UUID]) -> None:
        for armed in self._armed:
            if armed.takes(point, "") and (waiting := armed.do()) is not None:
                await waiting

    @contextmanager
    def listening(self) -> Iterator[None]:
        """To every session and every engine of this process."""
        listeners: list[tuple[Any, str, Callable[..., None]]] = [
            (Session, "before_flush", lambda *_: self._at("before flush")),
            (Session, "after_flush", lambda *_: self._at("after flush")),
            (Session, "before_commit", lambda *_: self._at("before commit")),
            (Session, "after_commit", self._committed.add),
            (Session, "after_transaction_end", self._after_transaction),
            (Session, "after_rollback", lambda *_: self._at("after rollback")),
            (Engine, "before_cursor_execute", self._before_statement),
            (Engine, "after_cursor_execute", self._after_statement),
        ]
        for target, name, listener in listeners:
            event.listen(target, name, listener)
        try:
            with listening(self._at_dibs):
                yield
        finally:
            for target, name, listener in listeners:
                event.remove(target, name, listener)

    def _after_transaction(self, session: Session, transaction: SessionTransaction) -> None:
        """After a commit, once the connection is back in its pool: raised at the commit itself, it would be lost."""
        if transaction.parent is None and session in self._committed:
            self._committed.discard(session)
            self._at("after commit")

    def _before_statement(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._at(f"before {verb_of(statement)}", statement)

    def _after_statement(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._at(f"after {verb_of(statement)}", statement)


def _wait(coroutine: Coroutine[Any, Any, None]) -> None:
    """Wait in the middle of SQLAlchemy's synchronous half, as its drivers do."""
    try:
        await_(coroutine)
    except MissingGreenlet:
        coroutine.close()
        raise RuntimeError(
            "only sessions of asyncio can be made to wait; a synchronous one would block the loop"
        ) from None
