"""The parts of the embedded default, and what a log may show."""

import os
from pathlib import Path

import pytest

from dibs.embedded import locked
from dibs.errors import StartError
from dibs.logs import name_of
from dibs.private_redis import LONGEST_SOCKET, PrivateRedis


def test_a_long_data_directory_gets_a_short_socket_in_a_private_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deep = tmp_path / ("d" * LONGEST_SOCKET)
    first, again, other = (PrivateRedis("redis-server", path) for path in (deep, deep, deep.with_name("e" * 120)))
    assert first.socket.parent.parent == tmp_path
    assert first.socket.parent.stat().st_mode & 0o777 == 0o700
    assert first.socket == again.socket
    assert first.socket != other.socket


def test_a_short_socket_that_others_can_reach_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deep = tmp_path / ("d" * LONGEST_SOCKET)
    PrivateRedis("redis-server", deep).socket.parent.chmod(0o777)
    with pytest.raises(StartError, match="not private"):
        PrivateRedis("redis-server", deep)


async def test_a_redis_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="false did not start: it said nothing"):
        await PrivateRedis("false", tmp_path).start()


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "data"),
        pytest.raises(StartError, match=f"process {os.getpid()}"),
        locked(tmp_path / "data"),
    ):
        pass
    with locked(tmp_path / "data"):
        pass


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be used: Not a directory"), locked(tmp_path / "file" / "data"):
        pass


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+asyncpg://ada:secret@db:5433/dibs?password=secret", "postgresql://db:5433/dibs"),
        ("sqlite+aiosqlite:////srv/dibs.db", "sqlite:////srv/dibs.db"),
        ("redis://ada:secret@queue:6380/2?password=secret", "redis://queue:6380/2"),
        ("rediss://:secret@queue", "rediss://queue"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
        ("sentinel://ada:secret@one,two:26380/main/2", "sentinel://one:26379,two:26380/main"),
    ],
)
def test_no_log_shows_a_secret(url: str, shown: str) -> None:
    assert name_of(url) == shown
