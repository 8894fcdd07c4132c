"""Sorting errors by their codes, for codes that are hard to provoke; the others are in the conformance suite."""

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.faults import FaultClass, sort_fault
from shared.problems import Kind


class DriverError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("a sentence\nand DETAIL: with values")
        self.sqlstate = sqlstate


def sqlite_error(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("a sentence")
    error.sqlite_errorname = name
    return error


def wrapped(error: Exception) -> DBAPIError:
    return OperationalError("INSERT", {}, error)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("40001", FaultClass.PASSING),
        ("40P01", FaultClass.PASSING),
        ("55P03", FaultClass.PASSING),
        ("57014", FaultClass.PASSING),
        ("08006", FaultClass.OUTAGE),
        ("28P01", FaultClass.OUTAGE),
        ("53100", FaultClass.OUTAGE),
        ("53300", FaultClass.OUTAGE),
        ("57P01", FaultClass.OUTAGE),
        ("57P02", FaultClass.OUTAGE),
        ("57P03", FaultClass.OUTAGE),
        ("25006", FaultClass.OUTAGE),
        ("58030", FaultClass.OUTAGE),
        ("23502", FaultClass.REFUSED),
        ("23P01", FaultClass.REFUSED),
        ("22021", FaultClass.REFUSED),
        ("P0001", FaultClass.REFUSED),
        ("42P01", FaultClass.UNFIT),
        ("42501", FaultClass.UNFIT),
        ("42601", FaultClass.UNKNOWN),
        ("55000", FaultClass.UNKNOWN),
        ("57000", FaultClass.UNKNOWN),
        ("XX000", FaultClass.UNKNOWN),
    ],
)
def test_a_sqlstate_decides_however_deep_it_lies(state: str, kind: FaultClass) -> None:
    assert sort_fault(DriverError(state)).kind is kind
    fault = sort_fault(wrapped(DriverError(state)))
    assert (fault.kind, fault.code, fault.detail) == (kind, state, "a sentence")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_BUSY", FaultClass.PASSING),
        ("SQLITE_BUSY_RECOVERY", FaultClass.PASSING),
        ("SQLITE_LOCKED_SHAREDCACHE", FaultClass.PASSING),
        ("SQLITE_FULL", FaultClass.OUTAGE),
        ("SQLITE_IOERR_WRITE", FaultClass.OUTAGE),
        ("SQLITE_READONLY_DBMOVED", FaultClass.OUTAGE),
        ("SQLITE_CONSTRAINT_TRIGGER", FaultClass.REFUSED),
        ("SQLITE_TOOBIG", FaultClass.REFUSED),
        ("SQLITE_ERROR", FaultClass.UNKNOWN),
        ("SQLITE_CORRUPT", FaultClass.UNKNOWN),
    ],
)
def test_an_sqlite_error_name_decides_with_all_that_extend_it(name: str, kind: FaultClass) -> None:
    fault = sort_fault(wrapped(sqlite_error(name)))
    assert (fault.kind, fault.code) == (kind, name)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(111, "refused"), FaultClass.OUTAGE),
        (FileNotFoundError(2, "no socket"), FaultClass.OUTAGE),
        (PoolTimeout("no connection free"), FaultClass.OUTAGE),
        (TimeoutError(), FaultClass.TIMEOUT),
        (DBAPIError("SELECT", {}, Exception("gone"), connection_invalidated=True), FaultClass.OUTAGE),
        (ValueError("a bug of ours"), FaultClass.UNKNOWN),
        (ZeroDivisionError(), FaultClass.UNKNOWN),
    ],
    ids=repr,
)
def test_an_error_without_a_code_is_sorted_by_its_class(error: Exception, kind: FaultClass) -> None:
    assert sort_fault(error).kind is kind


def test_the_cause_of_an_error_counts_too() -> None:
    error = RuntimeError("outer")
    error.__cause__ = DriverError("40001")
    assert sort_fault(error).kind is FaultClass.PASSING


def test_the_text_of_an_error_does_not_count() -> None:
    assert sort_fault(ValueError("deadlock detected 40P01 UNIQUE constraint failed")).kind is FaultClass.UNKNOWN


def test_an_unknown_fault_is_told_as_unexpected_and_by_its_class() -> None:
    told = sort_fault(ValueError("one line\nand another")).as_problem()
    assert (told.kind, told.detail) == (Kind.UNEXPECTED, "ValueError: one line")
