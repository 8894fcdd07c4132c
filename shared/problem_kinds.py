"""The kinds of problems, and what a caller is told of each: the page that a problem's `type` leads to."""

from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple


class Kind(StrEnum):
    """Stable last part of a problem's `type`; the texts beside it may change, these may not."""

    MALFORMED = "malformed"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate-limited"
    KEYS_UNREAD = "keys-unread"
    UNKNOWN_COLLECTION = "unknown-collection"
    UNKNOWN_JOB = "unknown-job"
    UNKNOWN_BULK = "unknown-bulk"
    NOT_FOUND = "not-found"
    METHOD = "method-not-allowed"
    FOREIGN = "foreign-form"
    TOO_LATE = "too-late"
    NOT_RETRYABLE = "not-retryable"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    URL_TOO_LONG = "url-too-long"
    HEADERS_TOO_LARGE = "headers-too-large"
    MEDIA = "unsupported-media-type"
    INVALID = "invalid"
    KEY_REUSED = "idempotency-key-reused"
    QUEUE_FULL = "queue-full"
    QUEUE_AWAY = "queue-away"
    BUSY = "busy"
    STREAMS_FULL = "too-many-streams"
    STOPPING = "stopping"
    DATABASE_AWAY = "database-away"
    INTERNAL = "internal"
    # Outcomes: these stand in the `error` of a failed job.
    REFUSED = "refused-by-database"
    TRIES_SPENT = "tries-spent"
    POISON = "poison"
    UNREADABLE = "unreadable"
    LOST = "lost-in-queue"
    UNEXPECTED = "unexpected"


class About(NamedTuple):
    """`status` is that of an answer with this problem; None where it stands in the `error` of a failed job."""

    kind: Kind
    status: HTTPStatus | None
    title: str
    meaning: str
    remedy: str

    @property
    def page(self) -> str:
        """The problem's `type`, which is the address of its page."""
        return f"/problems/{self.kind}"


_ABOUT = (
    About(
        Kind.MALFORMED,
        HTTPStatus.BAD_REQUEST,
        "The request cannot be read",
        "The body is not JSON, a header does not have the form that it must have, or the request ended too early.",
        "Mend the request as `detail` says. Sent again as it is, it will be answered the same.",
    ),
    About(
        Kind.UNAUTHORIZED,
        HTTPStatus.UNAUTHORIZED,
        "This needs a key",
        "There is no key in the request, or one that is not known, has expired or was revoked. Nobody is told which "
        "of these.",
        "Send `Authorization: Bearer dibs_…`. Whoever runs the server makes keys with `dibs keys create`.",
    ),
    About(
        Kind.FORBIDDEN,
        HTTPStatus.FORBIDDEN,
        "This is not allowed",
        "The key is good, and its scopes do not cover this; or no key was made yet, and then only the machine that "
        "the server runs on may ask.",
        "Use a key with the scope that `detail` names, or have one made.",
    ),
    About(
        Kind.RATE_LIMITED,
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests",
        "The key has made as many requests as it may for now.",
        "Wait as long as `Retry-After` says; the RateLimit headers of every answer tell what is left.",
    ),
    About(
        Kind.KEYS_UNREAD,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The keys could not be read yet",
        "The server started while the database was away, so that it knows no key yet and lets nobody in.",
        "Send the request again later. Whoever runs the server: bring the database back.",
    ),
    About(
        Kind.UNKNOWN_COLLECTION,
        HTTPStatus.NOT_FOUND,
        "There is no such collection",
        "Nothing by this name can be added to. As the error of a job: the worker that ran it knew no such collection.",
        "GET /collections says what there is. A collection is a model in a module that DIBS_MODELS names, for the "
        "api and for every worker alike.",
    ),
    About(
        Kind.UNKNOWN_JOB,
        HTTPStatus.NOT_FOUND,
        "There is no such job",
        "No receipt and no waiting job has this id, or it is another caller's.",
        "Check the id. A receipt is there for as long as the operator keeps it; a job that waits is there for 30 days.",
    ),
    About(
        Kind.UNKNOWN_BULK,
        HTTPStatus.NOT_FOUND,
        "There is no such bulk",
        "Nothing is known of a bulk with this id, or it is another caller's.",
        "Check the id. If the upload broke off before its first lines were taken in, send the bulk again.",
    ),
    About(
        Kind.NOT_FOUND,
        HTTPStatus.NOT_FOUND,
        "There is nothing at this address",
        "The server has no such path.",
        "GET /openapi.json lists all that there is.",
    ),
    About(
        Kind.METHOD,
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This address does not take that method",
        "The path is right, but it cannot be asked like this.",
        "The header `Allow` of the answer says which methods it takes.",
    ),
    About(
        Kind.FOREIGN,
        HTTPStatus.FORBIDDEN,
        "The form was sent from elsewhere",
        "A form of the operator's page counts only when a browser says, in `Sec-Fetch-Site` or in `Origin`, that it "
        "comes from a page of this very server. So no other website can press its buttons.",
        "Open the page itself and send the form from there. Behind a proxy over plain HTTP, let the proxy pass on "
        "the header `Host`. A program uses the API, not the page.",
    ),
    About(
        Kind.TOO_LATE,
        HTTPStatus.CONFLICT,
        "The job has already ended",
        "A cancel came after the outcome. What the job did stands, and the answer shows it in `job`.",
        "Nothing can be done here: an outcome never changes. A row that is not wanted is deleted in the database.",
    ),
    About(
        Kind.NOT_RETRYABLE,
        HTTPStatus.CONFLICT,
        "The job cannot be sent again",
        "It has not ended, it succeeded, or its receipt has no content that could be sent: a line of a bulk that "
        "was no add, or a job of which only the id was left. The answer shows it in `job`.",
        "Wait for its outcome, or send the add itself again with POST /add.",
    ),
    About(
        Kind.TOO_LARGE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request is too large",
        "The body, or as the error of a job the line of a bulk, is longer than the server takes.",
        "Send many adds as lines of POST /bulk, which may be of any length. The operator sets the limit of a body "
        "and of a line with DIBS_MAX_BODY_BYTES and DIBS_MAX_LINE_BYTES.",
    ),
    About(
        Kind.TOO_SLOW,
        HTTPStatus.REQUEST_TIMEOUT,
        "The request did not come in time",
        "The headers or the body of an add took too long, or nothing more came of a bulk. Of an add nothing was taken "
        "in; of a bulk, what came before may have been.",
        "Send it again in one go. Under an Idempotency-Key that is always safe. The operator sets the limits with "
        "DIBS_HEADER_TIMEOUT_S and DIBS_BODY_TIMEOUT_S.",
    ),
    About(
        Kind.URL_TOO_LONG,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "The address is too long",
        "Path and query together are longer than the server takes.",
        "No address of dibs needs to be that long. The operator sets the limit with DIBS_MAX_URL_BYTES.",
    ),
    About(
        Kind.HEADERS_TOO_LARGE,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are too large",
        "The request has too many headers, or their names and values together are longer than the server takes.",
        "Leave out what dibs does not need; often it is cookies. The operator sets the limits with "
        "DIBS_MAX_HEADERS and DIBS_MAX_HEADER_BYTES.",
    ),
    About(
        Kind.MEDIA,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is of another media type",
        "The Content-Type is missing, or not one that is taken here.",
        "Send an add with Content-Type: application/json, a bulk with application/x-ndjson.",
    ),
    About(
        Kind.INVALID,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The content of the request does not fit",
        "The request can be read, but a value in it is not one that is taken. `errors` points at each bad place. As "
        "the error of a job: its content did not fit the collection when it was taken in or when it ran.",
        "Mend the places that `errors` names. GET /collections/{collection} shows the JSON Schema of an add.",
    ),
    About(
        Kind.KEY_REUSED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The idempotency key belongs to another add",
        "The same Idempotency-Key came before with another add or another bulk. Nothing was taken in.",
        "Give each add a key of its own, and repeat a key only with the very same add.",
    ),
    About(
        Kind.QUEUE_FULL,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The queue is full",
        "As many jobs wait as may. Of what this request carried, nothing more was taken in than `detail` says.",
        "Send it again after the seconds that Retry-After says. If it stays so, the operator needs more workers, or "
        "a larger DIBS_QUEUE_LIMIT.",
    ),
    About(
        Kind.QUEUE_AWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The queue cannot be reached",
        "Redis did not answer. An add may or may not have been taken in.",
        "Send the same again after the seconds that Retry-After says. With an Idempotency-Key that is always safe.",
    ),
    About(
        Kind.BUSY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The server has too much to do",
        "This server process has as many connections as it may, and looked at nothing of the request.",
        "Send the same again after the seconds that Retry-After says, or to another. The operator sets the limit with "
        "DIBS_MAX_CONNECTIONS.",
    ),
    About(
        Kind.STREAMS_FULL,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many event streams are open",
        "This server process holds as many event streams as it may.",
        "Poll the job, or wait for it with `Prefer: wait=N`. The operator sets the limit with DIBS_MAX_EVENT_STREAMS.",
    ),
    About(
        Kind.STOPPING,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "This server is stopping",
        "The server is on its way out and takes in nothing more of a bulk.",
        "Send it again to the server that takes its place. Under the same Idempotency-Key nothing is taken in twice.",
    ),
    About(
        Kind.DATABASE_AWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database cannot be reached",
        "What was asked for stands in the database, and that did not answer. Adds are still taken in.",
        "Ask again after the seconds that Retry-After says.",
    ),
    About(
        Kind.INTERNAL,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong here",
        "The server met an error that nobody foresaw.",
        "The operator finds it in the server's log. An add with an Idempotency-Key is safe to send again.",
    ),
    About(
        Kind.REFUSED,
        None,
        "The database refused the row",
        "The row breaks a rule of its table other than the collection's key: a foreign key, a check, another unique "
        "key, a value that is missing or too long. `constraint` and `column` name it where the database says so.",
        "Send a new add that keeps the rule. Once the cause is mended in the database, the same job can be sent "
        "again: POST /jobs/{id}/retry.",
    ),
    About(
        Kind.TRIES_SPENT,
        None,
        "A passing fault did not pass in time",
        "The job met deadlocks, lock timeouts or the like again and again, until it had spent its tries.",
        "Send it again: POST /jobs/{id}/retry. If it happens often, something holds locks on the table for long.",
    ),
    About(
        Kind.POISON,
        None,
        "Workers died under the job",
        "Several workers ended without a word while they ran this job, so it is not given to another.",
        "The operator finds out what killed them (memory is the usual cause) before it is sent again: "
        "POST /jobs/{id}/retry.",
    ),
    About(
        Kind.UNREADABLE,
        None,
        "The queued job cannot be read",
        "What Redis holds of the job is damaged, or was written by a version of dibs that this worker does not know.",
        "Send the add again. In a rolling deploy the workers come before the api.",
    ),
    About(
        Kind.LOST,
        None,
        "The job was lost from the queue before it ran",
        "The job was accepted, but later Redis no longer had it: it waited for more than 30 days, or its key was "
        "deleted. It inserted nothing.",
        "Send the add again. Redis must not evict keys: its maxmemory-policy must be noeviction.",
    ),
    About(
        Kind.UNEXPECTED,
        None,
        "The job met an unexpected error",
        "The database said something that dibs has no rule for; `detail` has its code.",
        "The worker's log has the traceback. Once its cause is gone the job can be sent again: POST /jobs/{id}/retry.",
    ),
)

ABOUT: dict[Kind, About] = {about.kind: about for about in _ABOUT}
"""All of them, in the order of the kinds."""
