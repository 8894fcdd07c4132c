"""Where the server is, who asks, and how its connections are kept."""

import os
from typing import Any

import httpx

from dibs.client.address import HERE
from dibs.client.errors import Unsendable

KEEP_ALIVE_S = 2.0
"""Shorter than the five seconds after which uvicorn closes an idle connection: at the same moment both would."""
CONNECTIONS = 100


def options(url: str | None, key: str | None) -> dict[str, Any]:
    """The arguments of `httpx.Client` for a server, and an API key if there is one; raises `Unsendable`.

    Without them, they are those of DIBS_URL and DIBS_API_KEY.
    """
    address = _address(url or os.environ.get("DIBS_URL") or HERE)
    key = (key or os.environ.get("DIBS_API_KEY") or "").strip()
    if key and not (key.isascii() and key.isprintable()):
        # httpx would put it into its error.
        raise Unsendable("the API key is none: a key is dibs_ and printable ASCII characters")
    return {
        "base_url": address,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "limits": httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE_S),
        # A proxy for the outside is of no use for this machine.
        "trust_env": address.host not in {"127.0.0.1", "::1", "localhost"},
    }


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL()
    if address.scheme not in {"http", "https"} or not address.host:
        raise Unsendable(f"{url!r} is no address of a server such as {HERE}")
    return address
