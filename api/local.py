"""Whether somebody is on this machine: while there is no key, only those are let in."""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import Scope

TELLING = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"origin"})
"""What tells of somebody elsewhere: for whom a proxy asks, or so it was told, and for whose page a browser does."""


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine: not through a proxy, and not for a web page from elsewhere."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or not client[0]:
        came_from_here = server is not None and server[1] is None  # a Unix socket, as ASGI tells it
    else:
        came_from_here = is_loopback(client[0])
    if not came_from_here:
        return False
    for name, value in scope["headers"]:
        if name in TELLING and (name != b"origin" or not _is_here(value.decode("latin-1"))):
            return False
    return True


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
