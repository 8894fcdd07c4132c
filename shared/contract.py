"""What crosses a border: the job as HTTP shows it, and the batch as Redis carries it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from shared.problems import Problem

DEFAULT_COLLECTION = "animals"
DEFAULT_CANDIDATES = ("Max", "Cody", "Robby")

MAX_CANDIDATES = 1000
MAX_BATCH = 1000
MAX_KEY_LENGTH = 255

TRACEPARENT = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"

Row = dict[str, Any]


class Status(StrEnum):
    """Where a job stands. The last four are outcomes and never change."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    EXHAUSTED = "exhausted"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_outcome(self) -> bool:
        return self in OUTCOMES


OUTCOMES = frozenset({Status.SUCCEEDED, Status.EXHAUSTED, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True)
class Job:
    """One add on its way to a worker. `candidates` and `values` hold columns by name, as JSON."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    id: UUID
    candidates: Annotated[list[Row], Field(max_length=MAX_CANDIDATES)]
    values: Row
    fingerprint: str
    submitted_at: datetime
    caller: str = ""
    """Whose job it is; nobody's in particular where the door is open."""
    place: "Place | None" = None
    retry_of: UUID | None = None
    """The job whose content this one has once more."""
    error: Problem | None = None
    """Set where the door found a line of a bulk to be no add: the worker has only to write the receipt."""
    traceparent: Annotated[str, Field(pattern=TRACEPARENT)] | None = None
    """The trace that the job belongs to, where there is one (W3C Trace Context)."""


@dataclass(frozen=True)
class Place:
    """Where in a bulk a job stands; lines count from 1."""

    bulk: UUID
    line: int


class Batch(BaseModel):
    """What one arq job carries: jobs of one collection, in the order of their arrival."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    collection: str
    jobs: list[Job] = Field(min_length=1, max_length=MAX_BATCH)


class Links(BaseModel):
    """Where the job, its collection and the job that it repeats are found, relative to where dibs stands."""

    self: str
    collection: str
    retry_of: str | None = None

    @classmethod
    def of(cls, job: UUID, collection: str, retry_of: UUID | None = None) -> "Links":
        return cls(
            self=f"/jobs/{job}",
            collection=f"/collections/{collection}",
            retry_of=f"/jobs/{retry_of}" if retry_of else None,
        )

    def at(self, root: str) -> "Links":
        return Links(
            self=root + self.self,
            collection=root + self.collection,
            retry_of=root + self.retry_of if self.retry_of else None,
        )


class JobView(BaseModel):
    """A job as its caller sees it. Times are RFC 3339 UTC; `choice` is the winner's place in the candidates, from 0."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01920000-0000-7000-8000-000000000000",
                    "collection": "animals",
                    "status": "succeeded",
                    "result": {"id": 2, "name": "Cody"},
                    "choice": 1,
                    "tries": 1,
                    "error": None,
                    "submitted_at": "2026-01-01T12:00:00Z",
                    "finished_at": "2026-01-01T12:00:00.007Z",
                    "links": {
                        "self": "/jobs/01920000-0000-7000-8000-000000000000",
                        "collection": "/collections/animals",
                        "retry_of": None,
                    },
                }
            ]
        }
    )

    id: UUID
    collection: str
    status: Status
    result: Row | None = Field(None, description="The row that was inserted; null unless it succeeded")
    choice: int | None = Field(None, description="The winner's place in the candidates, from 0")
    tries: int = Field(0, description="Tries so far")
    error: Problem | None = Field(None, description="Why it failed")
    submitted_at: datetime
    finished_at: datetime | None = Field(None, description="When it had its outcome; null before")
    links: Links

    def dump(self, root: str) -> bytes:
        """As JSON, as it is told to whom dibs stands at `root`."""
        return self.at(root).model_dump_json().encode()

    @classmethod
    def queued(cls, job: Job, collection: str) -> "JobView":
        """A job that was taken in just now."""
        return cls(
            id=job.id,
            collection=collection,
            status=Status.QUEUED,
            submitted_at=job.submitted_at,
            links=Links.of(job.id, collection, job.retry_of),
        )

    def at(self, root: str) -> "JobView":
        """The same, as it is told to whom dibs stands at `root`, such as /names."""
        if not root:
            return self
        return self.model_copy(
            update={"links": self.links.at(root), "error": self.error.at(root) if self.error else None}
        )


def dump_view(
    id_: UUID,
    collection: str,
    status: Status,
    submitted_at: datetime,
    root: str,
    *,
    result: Row | None = None,
    choice: int | None = None,
    tries: int = 0,
    error: Problem | None = None,
    finished_at: datetime | None = None,
    retry_of: UUID | None = None,
) -> bytes:
    """The JSON of the `JobView` with these, as it is told to whom dibs stands at `root`, without
    making one: every submit and every wait is answered with it.
    """
    told = {
        "id": str(id_),
        "collection": collection,
        "status": status,
        "result": result,
        "choice": choice,
        "tries": tries,
        "error": error.at(root).model_dump(mode="json") if error else None,
        "submitted_at": submitted_at,
        "finished_at": finished_at,
        "links": {
            "self": f"{root}/jobs/{id_}",
            "collection": f"{root}/collections/{collection}",
            "retry_of": f"{root}/jobs/{retry_of}" if retry_of else None,
        },
    }
    return orjson.dumps(told, option=orjson.OPT_UTC_Z)
