"""Logging, set up once at the entrypoint: one line to stderr, in UTC, without secrets."""

import logging
import time
from urllib.parse import urlsplit

from sqlalchemy import make_url

from shared.redis import SENTINEL_SCHEME, read_sentinel_url

LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"

# These tell each of their steps at INFO: a line for each job, several for each start.
TALKATIVE = ("arq", "uvicorn", "alembic", "httpx")


def set_up(level: str) -> None:
    """Let the root logger write from `level` on; talkative libraries only warn, unless `level` is DEBUG."""
    formatter = logging.Formatter(LINE, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    # The driver of SQLite tells each call to its thread.
    logging.getLogger("aiosqlite").setLevel(logging.INFO)


def name_of(url: str) -> str:
    """`url` as a log may show it: no user, no password, no options, for any of these may be a secret."""
    if url.startswith(("redis://", "rediss://", "unix://")):
        parts = urlsplit(url)
        return f"{parts.scheme}://{_host(parts.hostname, parts.port)}{parts.path}"
    if url.startswith(SENTINEL_SCHEME):
        where = read_sentinel_url(url)
        return f"{SENTINEL_SCHEME}{','.join(_host(*host) for host in where.hosts)}/{where.master}"
    address = make_url(url)
    return f"{address.get_backend_name()}://{_host(address.host, address.port)}/{address.database or ''}"


def _host(host: str | None, port: int | None) -> str:
    return f"{host or ''}:{port}" if port else host or ""
