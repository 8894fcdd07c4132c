"""What is said on the channel of ended jobs: their ids, and of a few also what became of them.

A line of ids, separated by spaces, and where it is worth it a second line with the receipts as JSON. Who wakes for
one job has its answer with the message and asks no database; of many that ended together only some are waited for.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from shared.encoding import encode
from shared.receipts import Receipt

WHOLE = 8
"""So many receipts go along at most,"""
WHOLE_BYTES = 16 * 1024
"""and as long as all of them have no more than this."""

_RECEIPTS = TypeAdapter(list[Receipt])


def dump_news(ids: Iterable[str], receipts: Collection[Receipt]) -> bytes:
    """What there is to say of `receipts`, which have these `ids`."""
    line = " ".join(ids).encode()
    if len(receipts) > WHOLE:
        return line
    told = encode([replace(receipt, content=None, found=True) for receipt in receipts])
    return line + b"\n" + told if len(told) <= WHOLE_BYTES else line


def load_news(message: bytes) -> tuple[list[str], bytes]:
    """The ids of jobs that have ended, and their receipts as `load_receipts` reads them, or nothing."""
    ids, _, told = message.partition(b"\n")
    return ids.decode().split(), told


def load_receipts(told: bytes) -> Sequence[Receipt]:
    """None of them, where another version of dibs has said something else."""
    try:
        return _RECEIPTS.validate_json(told)
    except ValidationError:
        return []
