"""Problem details (RFC 9457): the one shape of every error that a caller sees, now or in a receipt."""

from enum import StrEnum
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

MEDIA_TYPE = "application/problem+json"


class Kind(StrEnum):
    """Stable last part of a problem's `type`; the texts beside it may change, these may not."""

    MALFORMED = "malformed"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate-limited"
    UNKNOWN_COLLECTION = "unknown-collection"
    UNKNOWN_JOB = "unknown-job"
    UNKNOWN_BULK = "unknown-bulk"
    NOT_FOUND = "not-found"
    METHOD = "method-not-allowed"
    TOO_LATE = "too-late"
    TOO_LARGE = "too-large"
    MEDIA = "unsupported-media-type"
    INVALID = "invalid"
    KEY_REUSED = "idempotency-key-reused"
    QUEUE_FULL = "queue-full"
    QUEUE_AWAY = "queue-away"
    STOPPING = "stopping"
    KEYS_UNREAD = "keys-unread"
    DATABASE_AWAY = "database-away"
    INTERNAL = "internal"
    # Outcomes: these stand in the `error` of a failed job.
    REFUSED = "refused-by-database"
    TRIES_SPENT = "tries-spent"
    POISON = "poison"
    UNREADABLE = "unreadable"
    LOST = "lost-in-queue"
    UNEXPECTED = "unexpected"


STATUS: dict[Kind, HTTPStatus] = {
    Kind.MALFORMED: HTTPStatus.BAD_REQUEST,
    Kind.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Kind.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Kind.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNKNOWN_COLLECTION: HTTPStatus.NOT_FOUND,
    Kind.UNKNOWN_JOB: HTTPStatus.NOT_FOUND,
    Kind.UNKNOWN_BULK: HTTPStatus.NOT_FOUND,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    Kind.TOO_LATE: HTTPStatus.CONFLICT,
    Kind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Kind.MEDIA: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.KEY_REUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.QUEUE_FULL: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.QUEUE_AWAY: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.STOPPING: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.KEYS_UNREAD: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.DATABASE_AWAY: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

TITLES: dict[Kind, str] = {
    Kind.MALFORMED: "The request cannot be read",
    Kind.UNAUTHORIZED: "This needs a key",
    Kind.FORBIDDEN: "The key does not allow this",
    Kind.RATE_LIMITED: "Too many requests",
    Kind.UNKNOWN_COLLECTION: "There is no such collection",
    Kind.UNKNOWN_JOB: "There is no such job",
    Kind.UNKNOWN_BULK: "There is no such bulk",
    Kind.NOT_FOUND: "There is nothing at this address",
    Kind.METHOD: "This address does not take that method",
    Kind.TOO_LATE: "The job has already ended",
    Kind.TOO_LARGE: "The request is too large",
    Kind.MEDIA: "The body is of another media type",
    Kind.INVALID: "The content of the request does not fit",
    Kind.KEY_REUSED: "The idempotency key belongs to another add",
    Kind.QUEUE_FULL: "The queue is full",
    Kind.QUEUE_AWAY: "The queue cannot be reached",
    Kind.STOPPING: "This server is stopping",
    Kind.KEYS_UNREAD: "The keys could not be read yet",
    Kind.DATABASE_AWAY: "The database cannot be reached",
    Kind.INTERNAL: "Something went wrong here",
    Kind.REFUSED: "The database refused the row",
    Kind.TRIES_SPENT: "A passing fault did not pass in time",
    Kind.POISON: "Workers died under the job",
    Kind.UNREADABLE: "The queued job cannot be read",
    Kind.LOST: "The job was lost from the queue before it ran",
    Kind.UNEXPECTED: "The job met an unexpected error",
}


class FieldError(BaseModel):
    """One wrong place in a request: `pointer` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details. `constraint` and `column` name what a database refused, where it says so."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/unknown-job",
                    "title": "There is no such job",
                    "status": 404,
                    "detail": "no receipt and no waiting job has this id",
                }
            ]
        }
    )

    type: str
    title: str
    status: int | None = None
    detail: str
    constraint: str | None = None
    column: str | None = None
    errors: list[FieldError] | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    @property
    def kind(self) -> Kind:
        return Kind(self.type.rpartition("/")[2])


def problem(
    kind: Kind,
    detail: str,
    *,
    constraint: str | None = None,
    column: str | None = None,
    errors: list[FieldError] | None = None,
) -> Problem:
    """The only way a problem is made: `kind` decides its type, title and status."""
    return Problem(
        type=f"/problems/{kind}",
        title=TITLES[kind],
        status=STATUS[kind].value if kind in STATUS else None,
        detail=detail,
        constraint=constraint,
        column=column,
        errors=errors,
    )
