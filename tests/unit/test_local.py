"""Who is on this machine."""

from typing import Any

import pytest

from api.local import is_local, is_loopback

LOCAL = ("127.0.0.1", 5)
SERVER = ("127.0.0.1", 8000)


def scope(client: Any, server: Any = SERVER, origin: str | None = None, **more: str) -> dict[str, Any]:
    headers = [] if origin is None else [(b"origin", origin.encode())]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    return {"client": client, "server": server, "headers": headers}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "8.8.8.8", "::ffff:8.8.8.8", "localhost", "", "fe80::1"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("client", "server", "origin", "local"),
    [
        (LOCAL, SERVER, None, True),
        (LOCAL, SERVER, "http://127.0.0.1:8000", True),
        (LOCAL, SERVER, "http://localhost:3000", True),
        (LOCAL, SERVER, "http://[::1]:8000", True),
        (LOCAL, SERVER, "https://elsewhere.example", False),
        (LOCAL, SERVER, "http://127.0.0.1.elsewhere.example", False),
        (LOCAL, SERVER, "null", False),
        (LOCAL, SERVER, "http://[", False),
        (("10.0.0.7", 5), SERVER, None, False),
        (("10.0.0.7", 5), SERVER, "http://127.0.0.1:8000", False),
        # Who it was the server does not say: only a Unix socket is sure to be here.
        (None, SERVER, None, False),
        (None, None, None, False),
        (("", 0), SERVER, None, False),
        (None, ("/run/dibs.sock", None), None, True),
    ],
)
def test_who_is_local(client: Any, server: Any, origin: str | None, *, local: bool) -> None:
    assert is_local(scope(client, server, origin)) is local


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "x_forwarded_host"])
def test_what_came_through_a_proxy_is_from_elsewhere(header: str) -> None:
    """Even if it says that it came from here: whoever asks may have said so."""
    assert is_local(scope(LOCAL, user_agent="x"))
    assert not is_local(scope(LOCAL, **{header: "127.0.0.1"}))
