"""`dibs doctor` on what is well and on what is not: it says which, and how to mend it."""

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import text

from dibs.doctor import examine
from dibs.doctor.findings import Finding, State, worst
from dibs.doctor.of_clocks import _judged
from dibs.doctor.of_redis import _of_disk, _of_memory, _of_server
from shared.database import Database
from shared.migrate import migrate
from shared.settings import Settings
from tests.build import MODELS
from tests.conftest import ask
from tests.face.processes import Running, run, serve
from tests.services import PrivatePostgres, PrivateRedis


async def findings(state: State, **settings: Any) -> dict[str, list[Finding]]:
    """What is found, by what it is about; `state` is the worst of it."""
    found = await examine(Settings.load(**settings))
    assert worst(found) is state, found
    by_name: dict[str, list[Finding]] = {}
    for finding in found:
        by_name.setdefault(finding.about, []).append(finding)
    assert "secret" not in str(found)
    return by_name


def test_all_is_well_with_dibs_serve(data_dir: Path, redis_path: str) -> None:
    with serve(data_dir, path=redis_path) as running:
        well = run("doctor", DIBS_DATA_DIR=str(data_dir), PATH=redis_path)
        assert (well.returncode, well.stderr) == (0, "")
        assert {line.split()[0] for line in well.stdout.splitlines()} == {"ok"}
        about = [line.split()[1] for line in well.stdout.splitlines()]
        assert about == [
            "settings", "redis", "durability", "memory", "database", "migrations", "collection", "clock", "workers",
            "queue",
        ]  # fmt: skip
        assert running.stop() == 0
    gone = run("doctor", "--json", DIBS_DATA_DIR=str(data_dir), PATH=redis_path)
    told = {finding["about"]: finding for finding in json.loads(gone.stdout)["findings"]}
    assert (gone.returncode, gone.stderr, json.loads(gone.stdout)["state"]) == (1, "", "fail")
    assert told["redis"]["mend"] == "start `dibs serve`"
    assert told["database"]["state"] == "ok"


async def test_servers_of_somebody_else(tmp_path: Path, postgresql_url: str, redis_url: str) -> None:
    servers = {"database_url": postgresql_url, "redis_url": redis_url, "queue_name": tmp_path.name}
    alone = await findings(State.FAIL, **servers)
    assert [(f.state, f.mend) for f in alone["workers"]] == [(State.FAIL, "start `dibs worker`, or `dibs serve`")]
    environment = {f"DIBS_{name.upper()}": value for name, value in servers.items()}
    with Running(tmp_path / "worker", "worker", **environment):
        found = await findings(State.WARN, **servers)
    assert found["workers"][0].state is State.OK
    assert "PostgreSQL" in found["database"][0].seen
    assert "encoding UTF8" in found["database"][0].seen
    # The tests' own cluster is quick, and not for keeps.
    assert (found["database"][0].state, (found["database"][0].mend or "")[:12]) == (State.WARN, "set fsync on")
    assert [f.seen.split()[0] for f in found["clock"]] == ["redis", "the"]


async def test_a_redis_that_forgets(postgresql_url: str) -> None:
    with PrivateRedis() as server:
        servers = {"database_url": postgresql_url, "redis_url": server.url()}
        redis = Redis.from_url(server.url())
        redis.config_set("appendfsync", "everysec")
        redis.config_set("maxmemory", "100mb")
        redis.config_set("maxmemory-policy", "allkeys-lru")
        found = await findings(State.FAIL, **servers)
        assert (found["durability"][0].state, found["memory"][0].state) == (State.WARN, State.FAIL)
        redis.config_set("appendonly", "no")
        found = await findings(State.FAIL, **servers)
        assert found["durability"][0].state is State.FAIL
        assert "appendonly yes" in (found["durability"][0].mend or "")
        # As with many that are managed: CONFIG is not for their users.
        redis.config_set("appendonly", "yes")
        redis.acl_setuser("dibs", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-config"])
        servers["redis_url"] = server.url().replace("redis://", "redis://dibs:secret@")
        found = await findings(State.FAIL, **servers)
        redis.close()
    assert found["durability"][0].state is State.WARN
    assert "CONFIG is refused" in found["durability"][0].seen


async def test_a_database_that_was_not_migrated(postgres_server: PrivatePostgres, redis_url: str) -> None:
    await ask(postgres_server.url(), "CREATE DATABASE doctor_empty")
    found = await findings(State.FAIL, database_url=postgres_server.url("doctor_empty"), redis_url=redis_url)
    assert found["migrations"][0].mend == "run `dibs migrate`"
    assert (found["collection"][0].mend or "").startswith("run `dibs migrate`")


async def test_tables_that_do_not_fit_their_models(
    postgresql_database: Database, postgresql_url: str, redis_url: str
) -> None:
    async with postgresql_database.writes.begin() as session:
        await session.execute(text("ALTER TABLE animals DROP CONSTRAINT uq_animals_name"))
        await session.execute(text("ALTER TABLE handles DROP COLUMN email"))
    found = await findings(State.FAIL, database_url=postgresql_url, redis_url=redis_url, models=MODELS)
    told = found["collection"]
    assert [finding.state for finding in told] == [State.FAIL, State.FAIL]
    assert told[0].mend == "ALTER TABLE animals ADD UNIQUE (name)"
    assert told[1].seen.startswith("handles lacks email")


async def test_servers_that_are_away() -> None:
    found = await findings(
        State.FAIL, database_url="postgresql://ada:secret@127.0.0.1:1/dibs", redis_url="redis://:secret@127.0.0.1:1"
    )
    assert {name: [f.state for f in told] for name, told in found.items()} == {
        "settings": [State.OK], "redis": [State.FAIL], "database": [State.FAIL],
    }  # fmt: skip


async def test_a_queue_in_memory_cannot_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    await migrate(f"sqlite+aiosqlite:///{tmp_path / 'dibs.db'}")
    found = await findings(State.WARN, data_dir=tmp_path)
    assert (found["redis"][0].state, (found["redis"][0].mend or "")[:20]) == (State.WARN, "install redis-server")
    assert "workers" not in found


async def test_a_data_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    found = await findings(State.FAIL, data_dir=tmp_path / "data")
    assert (found["database"][0].state, found["database"][0].seen[-12:]) == (State.FAIL, "is not there")
    assert not (tmp_path / "data").exists()


def test_wrong_settings_are_one_line() -> None:
    wrong = run("doctor", DIBS_MODELS="no_such_module")
    assert (wrong.returncode, wrong.stdout, len(wrong.stderr.splitlines())) == (2, "", 1)


INFO = {
    "redis_version": "7.2.4", "role": "master", "cluster_enabled": 0, "aof_enabled": 1,
    "aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok",
    "maxmemory": 0, "used_memory": 1 << 20, "maxmemory_policy": "noeviction",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, State.OK),
        ({"role": "slave"}, State.FAIL),
        ({"cluster_enabled": 1}, State.FAIL),
        ({"redis_version": "5.0.7"}, State.WARN),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, State.OK),
    ],
)
def test_what_kind_of_redis_it_is(changed: dict[str, Any], state: State) -> None:
    assert _of_server(INFO | changed, "redis://queue").state is state


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (_of_disk(INFO | {"aof_last_write_status": "err"}, {"appendfsync": "always"}), State.FAIL),
        (_of_disk(INFO, {"appendfsync": "always"}), State.OK),
        (_of_disk(INFO, {"appendfsync": "no"}), State.WARN),
        (_of_memory(INFO | {"maxmemory_policy": "allkeys-lru"}), State.WARN),
        (_of_memory(INFO | {"maxmemory": 100, "used_memory": 90}), State.WARN),
        (_judged("redis", 0.3, 0.0, 4), State.OK),
        (_judged("redis", -3.0, 0.1, 4), State.WARN),
        (_judged("redis", 9.0, 0.1, 4), State.FAIL),
        (_judged("redis", 9.0, 8.9, 4), State.OK),
    ],
)
def test_each_state_is_judged(found: Finding, state: State) -> None:
    assert found.state is state
    assert (found.mend is None) is (state is State.OK)
