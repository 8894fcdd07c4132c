"""Every setting, read once at an entrypoint and passed down from there."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from redis.asyncio.connection import parse_url
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from shared.contract import MAX_CANDIDATES
from shared.database import POOLER, TRANSACTION
from shared.limits import MAX_JSON_DEPTH, MAX_NUMBER_DIGITS, MAX_TEXT_CHARS, Limits
from shared.rates import Rate
from shared.redis import SENTINEL_SCHEME, read_sentinel_url

DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}
REDIS_SCHEMES = ("redis://", "rediss://", "unix://", SENTINEL_SCHEME)


_ESCAPE = "has a password that must be percent-encoded: %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #"
"""Else a piece of it would be taken for the host, and be told as such."""


class SettingsError(Exception):
    """A setting is wrong; the text is the one line that the operator should read."""


def _database_url(value: str) -> str:
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):  # what they say may be a piece of a password that was not escaped
        raise ValueError("is not a database address such as postgresql://user@host/name") from None
    if url.drivername not in DRIVERS:
        raise ValueError("must begin with postgresql:// or sqlite:///")
    if url.drivername.startswith("sqlite") and url.database in (None, "", ":memory:"):
        raise ValueError("must name a file: an in-memory SQLite is one shared connection")
    if url.query.get(POOLER, TRANSACTION) != TRANSACTION:
        raise ValueError(f"knows of poolers only {POOLER}={TRANSACTION}; one that keeps sessions needs no word")
    if url.host and not set(url.host).isdisjoint("@[]/"):
        raise ValueError(_ESCAPE)
    return url.set(drivername=DRIVERS[url.drivername]).render_as_string(hide_password=False)


def _redis_url(value: str) -> str:
    if not value.startswith(REDIS_SCHEMES):
        raise ValueError("must begin with redis://, rediss://, unix:// or sentinel://")
    is_sentinel = value.startswith(SENTINEL_SCHEME)
    try:
        if is_sentinel:
            read_sentinel_url(value)
        else:
            parse_url(value)
    except ValueError:  # as above
        example = "sentinel://host:26379,host:26379/master" if is_sentinel else "redis://:password@host:6379/0"
        raise ValueError(f"must look like {example}") from None
    if not value.startswith((SENTINEL_SCHEME, "unix://")) and "@" in value and "@" not in urlsplit(value).netloc:
        raise ValueError(_ESCAPE)
    return value


def _names(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _rate(value: object) -> object:
    return Rate.parse(value) if isinstance(value, str) else value


class Settings(BaseSettings):
    """All that can be set, each by the environment variable `DIBS_` + its name.

    What may hold a password is in no repr.
    """

    model_config = SettingsConfigDict(env_prefix="DIBS_", extra="ignore", hide_input_in_errors=True)

    database_url: Annotated[str, AfterValidator(_database_url)] | None = Field(None, repr=False)
    """`postgresql://user@host/name`, with `?pooler=transaction` behind pgbouncer, or `sqlite:///file`; without it
    `dibs serve` has an SQLite file under `data_dir`.
    """
    redis_url: Annotated[str, AfterValidator(_redis_url)] | None = Field(None, repr=False)
    """Redis or Valkey: `redis://`, `rediss://`, `unix://`, or the sentinels that know where it is,
    `sentinel://host,host/master`; without it `dibs serve` brings its own.
    """
    host: str = "127.0.0.1"
    """Where the api listens. Anything but loopback needs an API key first."""
    port: int = Field(8000, ge=0, le=65535)
    """The port of `host`; 0 is any that is free."""
    root_path: str = Field("", pattern=r"^(/[\w.~-]+)*$")
    """Below which path of its server a proxy shows the api, such as /names, if it takes this path away."""
    data_dir: Path = Path(".dibs")
    """Where the embedded database and Redis keep their files."""
    models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """Modules, or `module:Class`, whose SQLAlchemy models are collections, separated by commas; the same everywhere."""
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """The least grave lines that are logged."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """How a log line looks; `auto` is text on a terminal and JSON everywhere else."""

    queue_name: str = Field("dibs", min_length=1)
    """What the keys of this queue in Redis begin with; the same for the apis and workers of one queue."""
    queue_limit: int = Field(1_000_000, ge=1)
    """Jobs waiting in the queue, past which a submit is answered with 503."""
    max_connections: int = Field(10_000, ge=1)
    """Connections of an api process at a time, past which a request is answered with 503 and its connection closed."""

    max_body_bytes: int = Field(1024 * 1024, ge=1024)
    """The body of an add."""
    max_line_bytes: int = Field(1024 * 1024, ge=1024)
    """A line of a bulk, which as a whole has no limit."""
    max_candidates: int = Field(MAX_CANDIDATES, ge=1, le=MAX_CANDIDATES)
    """Candidates of an add."""
    max_json_depth: int = Field(MAX_JSON_DEPTH, ge=1, le=MAX_JSON_DEPTH)
    """Levels of a JSON column's value; a bare value is one."""
    max_text_chars: int = Field(100_000, ge=1, le=MAX_TEXT_CHARS)
    """Code points of any text, whatever its column would take."""
    max_number_digits: int = Field(MAX_NUMBER_DIGITS, ge=1, le=MAX_NUMBER_DIGITS)
    """Digits of an exact number, written out without an exponent."""
    max_url_bytes: int = Field(8 * 1024, ge=256, le=64 * 1024)
    """Path and query together."""
    max_header_bytes: int = Field(32 * 1024, ge=1024, le=1024 * 1024)
    """All header fields of a request together, names and values."""
    max_headers: int = Field(100, ge=10, le=1000)
    """Header fields of a request."""
    header_timeout_s: float = Field(10.0, gt=0, le=600)
    """How long a request may take to send its headers, from the connection's or the request's first moment."""
    body_timeout_s: float = Field(30.0, gt=0, le=600)
    """How long the body of an add may take; how long a bulk may send nothing."""
    max_waits: int = Field(1000, ge=0)
    """Requests that may wait at a time in this process; one more is answered at once, with the job as it stands."""
    max_wait_s: float = Field(30.0, ge=0, le=600)
    """The longest that `Prefer: wait` may hold a request."""
    max_event_streams: int = Field(1000, ge=0)
    """Event streams that may be open at a time in this process."""
    keys_refresh_s: float = Field(5.0, gt=0, le=3600)
    """How often the api reads the API keys: so long a revoked key works, and the door is open after the first one."""
    rate_limit: Annotated[Rate, NoDecode, BeforeValidator(_rate)] | None = None
    """Requests that each key may make, such as 1000/second (or minute, hour, day), where it has no limit of its own;
    without it any number.
    """

    concurrency: int = Field(4, ge=1, le=1000)
    """Claims that one worker runs at a time, each of up to 500 jobs and with a database connection of its own."""
    poll_delay_s: float = Field(1.0, gt=0, le=60)
    """How often an idle worker looks at the queue when nothing woke it."""
    lease_s: float = Field(4.0, ge=1, le=300)
    """How long a dead worker's batch is held back from the others."""
    grace_s: float = Field(25.0, ge=0, le=3600)
    """How long a stopping process may finish what it runs: a worker all of it, an api a third of it for its requests,
    and the worker within `dibs serve` the rest.
    """
    drain_s: float = Field(2.0, ge=0, le=300)
    """How long a stopping `dibs api` still answers, on connections that it then closes, before it closes its door."""
    max_tries: int = Field(8, ge=1, le=100)
    """Tries of a job that meets passing faults, such as a deadlock."""
    max_deaths: int = Field(3, ge=2, le=100)
    """Workers that may die under a job before it is failed as poison; the last of them ran nothing else like it."""
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Where `dibs worker` answers `GET /metrics`; nowhere if not set."""
    metrics_host: str = "127.0.0.1"
    """The address of `metrics_port`. Whoever reaches it may read the metrics: there it asks for no key."""

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read the environment; raises `SettingsError` with one line that names each wrong variable."""
        try:
            return cls(**overrides)  # type: ignore[arg-type]  # pydantic checks what comes from outside
        except ValidationError as error:
            wrong = "; ".join(
                f"DIBS_{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}"
                for e in error.errors(include_input=False)
            )
            raise SettingsError(wrong) from None

    @property
    def limits(self) -> Limits:
        """What one add may bring."""
        return Limits(
            candidates=self.max_candidates,
            json_depth=self.max_json_depth,
            text_chars=self.max_text_chars,
            number_digits=self.max_number_digits,
        )

    @property
    def embedded_database_url(self) -> str:
        return URL.create(DRIVERS["sqlite"], database=str(self.data_dir / "dibs.db")).render_as_string()

    def need(self, name: str) -> str:
        """The value of `name`, or the error that tells how to set it."""
        value = getattr(self, name)
        if value is None:
            raise SettingsError(
                f"DIBS_{name.upper()} is not set; `dibs serve` is the one command that can do without it"
            )
        return str(value)
