"""Whether somebody is on this machine: while there is no key, only those are let in."""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"})
"""What proxies tell: for whom they ask, or so they were told."""


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine: not through a proxy, and not for a web page from elsewhere."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or not client[0]:
        came_from_here = server is not None and server[1] is None  # a Unix socket, as ASGI tells it
    else:
        came_from_here = is_loopback(client[0])
    return came_from_here and not any(_tells_of_elsewhere(name, value) for name, value in scope["headers"])


def _tells_of_elsewhere(name: bytes, value: bytes) -> bool:
    return name in FORWARDED or (name == b"origin" and not _is_here(value.decode("latin-1")))


def _is_here(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or is_loopback(host)


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether the IP address `host` leads to this machine alone."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
