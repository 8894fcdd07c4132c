"""`dibs keys`, and the commands that send a key."""

import asyncio
import json
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from typer import BadParameter

from dibs import DibsSync, Refused, Unsendable
from dibs.errors import StartError
from dibs.keys import create, every, read_wish, revoke, show, show_made
from shared.clock import utc_now
from shared.keys import is_well_formed
from shared.rates import Rate
from shared.scopes import Scope
from shared.settings import Settings
from tests.face.processes import PATIENCE_S, Running, run, serve
from tests.keys import bearer

MISUSED: list[tuple[str, dict[str, str], str]] = [
    ("a b", {}, "a name has at most 64"),
    ("", {}, "a name has at most 64"),
    ("ada", {"expires": "soon"}, "--expires must be"),
    ("ada", {"expires": "0d"}, "--expires must be"),
    ("ada", {"rate": "fast"}, "--rate must look like"),
]


@pytest.mark.parametrize(("name", "given", "told"), MISUSED)
def test_what_makes_no_key(name: str, given: dict[str, str], told: str) -> None:
    with pytest.raises(BadParameter, match=told):
        read_wish(name, [Scope.ADD], given.get("expires"), given.get("rate"))


def test_misuse_leaves_nothing_behind(tmp_path: Path) -> None:
    misused = run("keys", "create", "ada", "--rate", "fast", DIBS_DATA_DIR=str(tmp_path))
    assert (misused.returncode, misused.stdout) == (2, "")
    assert "Traceback" not in misused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_made_used_listed_and_revoked_while_it_serves(data_dir: Path) -> None:
    here = {"DIBS_DATA_DIR": str(data_dir), "DIBS_KEYS_REFRESH_S": "0.1"}
    with serve(data_dir, DIBS_KEYS_REFRESH_S="0.1") as running:
        assert "no API key was ever made" in running.log
        made = run("keys", "create", "shop", **here)
        key = made.stdout.strip()
        assert (made.returncode, made.stdout) == (0, f"{key}\n")
        assert is_well_formed(key.encode())
        assert key not in made.stderr
        assert "shop, scopes add read, until it is revoked" in made.stderr

        with pytest.raises(Refused, match="send a key"), running.client() as client:
            client.add("Max")
        # A key from a file ends with a line.
        added = run("add", "Max", "--wait", "--json", DIBS_URL=running.url, DIBS_API_KEY=f"{key}\n")
        assert added.returncode == 0, added.stderr
        job = json.loads(added.stdout)["id"]
        with DibsSync(running.url, key=key) as client:
            assert client.job(job).view.result == {"id": 1, "name": "Max"}

        id_ = key[5:15]
        revoked = run("keys", "revoke", id_, **here)
        assert revoked.stdout == f"{id_} of shop is revoked; servers that run refuse it within 0.1 s\n"
        with httpx.Client(base_url=running.url) as http:
            give_up_at = time.monotonic() + PATIENCE_S
            while http.get("/collections", headers=bearer(key)).status_code == 200:
                assert time.monotonic() < give_up_at
            assert http.get("/collections").status_code == 401
        assert key not in running.log
        assert running.stop() == 0


async def test_a_key_has_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = Settings.load(data_dir=tmp_path / "data", database_url=None)
    text, key = await create(here, read_wish("ops", [Scope.ADMIN], "90d", "5/minute"))
    assert (key.scopes, key.rate) == (frozenset({Scope.ADMIN}), Rate(5, 60))
    assert key.expires_at == pytest.approx(utc_now() + timedelta(days=90), abs=timedelta(minutes=1))
    show_made(text, key, as_json=True)
    assert json.loads(capsys.readouterr().out)["key"] == text
    [listed] = await every(here)
    assert listed == key
    show([listed], as_json=False)
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split()[:4] == [key.id, "ops", "admin", "5/minute"]
    assert text not in shown
    gone, _ = await revoke(here, key.id)
    show([gone], as_json=True)
    shown = capsys.readouterr().out
    assert json.loads(shown)[0]["state"] == "revoked"
    assert text not in shown
    again, _ = await revoke(here, key.id)
    assert again == gone, "it was revoked when it was revoked first"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_what_cannot_be_done_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no key has this id"):
        await revoke(Settings.load(data_dir=tmp_path / "data", database_url=None), "0000000000")
    with pytest.raises(StartError, match="lacks tables that this dibs needs: run `dibs migrate` first"):
        await every(Settings.load(database_url=f"sqlite:///{tmp_path}/dibs.db"))
    with pytest.raises(StartError, match=r"^postgresql://127.0.0.1:1/dibs cannot be asked for its keys: [^\n]*$"):
        await every(Settings.load(database_url="postgresql://ada:secret@127.0.0.1:1/dibs"))


# Who may listen where.


def test_without_a_key_it_listens_on_this_machine_only(data_dir: Path) -> None:
    here = {"DIBS_DATA_DIR": str(data_dir), "DIBS_HOST": "0.0.0.0"}
    refused = run("serve", **here)
    assert (refused.returncode, refused.stdout) == (1, "")
    told = refused.stderr.splitlines()[-1]
    assert told.startswith("dibs: 0.0.0.0 can be reached from outside and there is no API key yet: ")
    assert "`dibs keys create NAME --scope add --scope read`" in told
    assert "127.0.0.1" in told
    assert "Traceback" not in refused.stderr

    made = create(Settings.load(data_dir=data_dir, database_url=None), read_wish("ada", [Scope.ADD], None, None))
    key, _ = asyncio.run(made)
    with serve(data_dir, DIBS_HOST="0.0.0.0") as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(Refused, match="send a key"), DibsSync(url) as client:
            client.add("Max")
        with DibsSync(url, key=key) as client:
            assert client.add("Max", wait=10).view.result == {"id": 1, "name": "Max"}
        assert running.stop() == 0


def test_the_api_alone_is_as_careful(sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    servers = {"DIBS_DATABASE_URL": sqlite_url, "DIBS_REDIS_URL": redis_url, "DIBS_QUEUE_NAME": tmp_path.name}
    refused = run("api", "--host", "::", **servers)
    assert refused.returncode == 1
    assert "there is no API key yet" in refused.stderr
    with Running(tmp_path / "log", "api", "--host", "localhost", **servers) as running, running.client() as client:
        assert client.add("Max").status == "queued"
        assert running.stop() == 0


@pytest.mark.parametrize("key", ["dibs_secret\nx", "dibs_sécret", "dibs_secret\x00"])
def test_what_is_no_key_is_not_repeated(key: str) -> None:
    with pytest.raises(Unsendable) as caught:
        DibsSync("http://127.0.0.1:1", key=key)
    assert "cret" not in str(caught.value)
