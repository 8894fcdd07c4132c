"""Errors of a database, sorted once: by SQLSTATE or SQLite error name, never by message text."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import Table, UniqueConstraint
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.problems import Kind, Problem, problem


class FaultClass(Enum):
    """What an error means for the jobs that met it.

    A taken key is not among them: the claim inserts with "on conflict do nothing" on the collection's key,
    so a unique violation that surfaces stands on another constraint and refuses the row.
    """

    PASSING = "the same again later may work"
    OUTAGE = "the database is away or cannot take anything now"
    TIMEOUT = "no answer in time: an outage if the database answers nobody, else passing"
    REFUSED = "the row will never fit"
    UNFIT = "the schema or the permissions are not what this version needs"
    UNKNOWN = "anything else"


# PostgreSQL, Appendix A: error codes. Two letters stand for a whole class.
SQLSTATES: dict[str, FaultClass] = {
    "40": FaultClass.PASSING,  # serialization failure, deadlock detected
    "0A000": FaultClass.PASSING,  # a prepared statement of before a column was altered; it is prepared anew
    "55P03": FaultClass.PASSING,  # lock not available
    "57014": FaultClass.PASSING,  # statement timeout
    "08": FaultClass.OUTAGE,  # connection exceptions
    "28": FaultClass.OUTAGE,  # the credentials are (still, or no longer) wrong
    "3D000": FaultClass.OUTAGE,  # the database is not there
    "57P": FaultClass.OUTAGE,  # shutting down, crashed, cannot connect now, dropped, idle for too long
    "53": FaultClass.OUTAGE,  # disk full, out of memory, too many connections
    "58030": FaultClass.OUTAGE,  # I/O error
    "25P03": FaultClass.OUTAGE,  # we stood still in a transaction, and were cut off
    "25006": FaultClass.OUTAGE,  # read only: a standby, in the middle of a failover
    "22": FaultClass.REFUSED,  # data exceptions: too long, out of range, not representable
    "23": FaultClass.REFUSED,  # not null, foreign key, check, exclusion, another unique key
    "54": FaultClass.REFUSED,  # a limit of the server: too long for an index
    "P0001": FaultClass.REFUSED,  # a trigger said no
    "42P01": FaultClass.UNFIT,  # undefined table
    "42703": FaultClass.UNFIT,  # undefined column
    "42501": FaultClass.UNFIT,  # insufficient privilege
}
# sqlite.org/rescode.html; a primary code stands for its extended ones.
SQLITE_NAMES: dict[str, FaultClass] = {
    "SQLITE_BUSY": FaultClass.PASSING,
    "SQLITE_LOCKED": FaultClass.PASSING,
    "SQLITE_FULL": FaultClass.OUTAGE,
    "SQLITE_IOERR": FaultClass.OUTAGE,
    "SQLITE_CANTOPEN": FaultClass.OUTAGE,
    "SQLITE_READONLY": FaultClass.OUTAGE,
    "SQLITE_NOMEM": FaultClass.OUTAGE,
    "SQLITE_CONSTRAINT": FaultClass.REFUSED,
    "SQLITE_TOOBIG": FaultClass.REFUSED,
    "SQLITE_MISMATCH": FaultClass.REFUSED,
}


@dataclass(frozen=True)
class Fault:
    """A sorted error. `code` is the SQLSTATE, the SQLite error name or the Python class."""

    kind: FaultClass
    code: str
    detail: str
    constraint: str | None = None
    column: str | None = None

    def as_problem(self) -> Problem:
        """What the receipt of a job says that ended by this fault."""
        kind = Kind.REFUSED if self.kind is FaultClass.REFUSED else Kind.UNEXPECTED
        return problem(kind, f"{self.code}: {self.detail}", constraint=self.constraint, column=self.column)


def sort_fault(error: BaseException, table: Table | None = None) -> Fault:
    """Sort `error`; `table` lets SQLite's columns be told as the constraint's name."""
    causes = list(_chain(error))
    for cause in causes:
        if state := getattr(cause, "sqlstate", None):
            return _postgres(str(state), causes)
        if name := getattr(cause, "sqlite_errorname", None):
            return _sqlite(name, str(cause), table)
    # A timeout is a cancel that came from within: that one says nothing.
    told = next((cause for cause in reversed(causes) if not isinstance(cause, asyncio.CancelledError)), causes[-1])
    return Fault(_without_code(causes), type(told).__name__, _one_line(told))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.orig if isinstance(seen, DBAPIError) else seen.__cause__


def _without_code(causes: list[BaseException]) -> FaultClass:
    if any(isinstance(c, DBAPIError) and c.connection_invalidated for c in causes):
        return FaultClass.OUTAGE
    if any(isinstance(c, asyncio.TimeoutError) for c in causes):
        return FaultClass.TIMEOUT
    if any(isinstance(c, OSError | PoolTimeout) for c in causes):
        return FaultClass.OUTAGE
    # asyncpg tells a connection that was lost between two statements by a class without a SQLSTATE.
    if any(type(c).__name__ in {"InterfaceError", "InternalClientError"} for c in causes):
        return FaultClass.OUTAGE
    return FaultClass.UNKNOWN


def _postgres(state: str, causes: list[BaseException]) -> Fault:
    kind = next((SQLSTATES[p] for p in (state, state[:3], state[:2]) if p in SQLSTATES), FaultClass.UNKNOWN)
    driver = causes[-1]
    return Fault(
        kind,
        state,
        # The server's own sentence; its DETAIL would repeat the row's values.
        str(getattr(driver, "message", None) or _one_line(driver)),
        constraint=getattr(driver, "constraint_name", None),
        column=getattr(driver, "column_name", None),
    )


def _sqlite(name: str, message: str, table: Table | None) -> Fault:
    primary = "_".join(name.split("_")[:2])
    kind = SQLITE_NAMES.get(primary, FaultClass.UNKNOWN)
    constraint, column = None, None
    if name == "SQLITE_CONSTRAINT_CHECK":
        constraint = message.rpartition(": ")[2]
    elif name == "SQLITE_CONSTRAINT_NOTNULL":
        column = message.rpartition(".")[2]
    elif name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"} and table is not None:
        constraint = _unique_by_columns(table, re.findall(r"\.(\w+)", message))
    return Fault(kind, name, message, constraint=constraint, column=column)


def _unique_by_columns(table: Table, columns: list[str]) -> str | None:
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint) and [c.name for c in constraint.columns] == columns:
            return str(constraint.name)
    for index in table.indexes:
        if index.unique and [c.name for c in index.columns] == columns:
            return index.name
    return str(table.primary_key.name) if [c.name for c in table.primary_key.columns] == columns else None


def _one_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
