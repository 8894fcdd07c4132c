"""Ids of jobs and batches."""

import hashlib
import re
import secrets
from uuid import UUID

from uuid_utils import uuid7

_SPELT = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def new_id() -> UUID:
    """A fresh id; UUID version 7 (RFC 9562), so that receipts land next to each other in their index."""
    return UUID(int=uuid7().int)


def keyed_id(caller: str, idempotency_key: str) -> UUID:
    """The id that `idempotency_key` always means for `caller`, however often and wherever it is asked.

    UUID version 8 (RFC 9562, 5.8) from SHA-256, so that a key finds its receipt even after Redis lost
    every trace of it.
    """
    digest = hashlib.sha256(f"{caller}\0{idempotency_key}".encode()).digest()
    return _version_8(int.from_bytes(digest[:16]))


def retry_id(job: UUID) -> UUID:
    """The id of the job that has the content of `job` once more: always the same, so that it is sent once.

    No idempotency key leads there: it has no NUL in it, and a bulk's stands behind another word.
    """
    return _version_8(int.from_bytes(hashlib.sha256(b"\0retry\0" + job.bytes).digest()[:16]))


def new_bulk_id() -> UUID:
    """A fresh id for a bulk: all of it random, for `line_id` gives its last 32 bits away."""
    return _version_8(int.from_bytes(secrets.token_bytes(16)))


def line_id(bulk: UUID, line: int) -> UUID:
    """The id of the job in `line` of `bulk`: always the same, and next to its neighbours' in an index."""
    return UUID(int=bulk.int & ~0xFFFFFFFF | line)


def _version_8(number: int) -> UUID:
    number = number & ~(0xF << 76) | (8 << 76)
    return UUID(int=number & ~(0x3 << 62) | (2 << 62))


def as_id(text: str) -> UUID | None:
    """The id that `text` spells as RFC 9562 does, or None; Python's own reading takes much more for one."""
    return UUID(text) if _SPELT.fullmatch(text) else None
