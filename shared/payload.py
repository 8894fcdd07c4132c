"""What stands in arq's queue: a batch as JSON, in the envelope that arq knows. Nothing that can run."""

from functools import cache
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.clock import now_ms
from shared.contract import Batch, Job
from shared.encoding import encode

FUNCTION = "add"
"""The name by which arq finds the function that runs a batch."""


def dump_payload(envelope: dict[str, Any]) -> bytes:
    """arq's serializer. What cannot be JSON, such as the exception of a failed job, is told as text."""
    return orjson.dumps(envelope, default=str)


def load_payload(data: bytes) -> dict[str, Any]:
    """arq's deserializer: JSON and nothing that can run.

    What is no envelope of ours becomes a delivery of nothing, so that its jobs get their receipts too.
    """
    envelope = _read_envelope(data)
    batch, enqueued_ms = (envelope.a[0], envelope.et) if envelope else (None, 0)
    return {"t": None, "f": FUNCTION, "a": [batch], "k": {}, "et": enqueued_ms}


class _Envelope(BaseModel):
    """arq's envelope around a batch: the function, its arguments, and what is arq's own."""

    model_config = ConfigDict(extra="ignore")

    f: Literal["add"]
    a: tuple[Batch]
    et: int


def _read_envelope(payload: bytes) -> _Envelope | None:
    try:
        return _Envelope.model_validate_json(payload)
    except ValidationError:
        return None


def read_batch(payload: bytes) -> Batch | None:
    """The batch in arq's envelope; None for whatever is no JSON of ours and of this version. Never unpickles."""
    envelope = _read_envelope(payload)
    return envelope.a[0] if envelope else None


def open_envelope(collection: str) -> tuple[bytes, bytes]:
    """arq's envelope around a batch, cut open where the jobs go: which of them are new, only Redis can say."""
    head, tail = _cut_envelope(collection)
    return head, b"%s%d}" % (tail, now_ms())


@cache
def _cut_envelope(collection: str) -> tuple[bytes, bytes]:
    """Up to the jobs, and from there to where the time of the enqueue stands, which is the last member."""
    batch = Batch.model_construct(collection=collection, jobs=[])
    whole = dump_payload({"t": None, "f": FUNCTION, "a": [batch.model_dump()], "k": {}, "et": 0})
    head, opening, tail = whole.partition(b'"jobs":[')
    return head + opening, tail.removesuffix(b"0}")


_UNTRACED = b',"traceparent":null}'


def dump_job(job: Job) -> bytes:
    """A job as it stands in a batch. Without tracing it has no field for it: a worker that is older knows none."""
    whole = encode(job)
    return whole[: -len(_UNTRACED)] + b"}" if whole.endswith(_UNTRACED) else whole
