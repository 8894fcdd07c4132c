"""The keys in memory: a fresh one works at once, a revoked one soon no more, and the database may be away."""

import asyncio
import time
from datetime import timedelta

import pytest
from sqlalchemy import event, update

from api.keyring import LOOK_AGAIN_S, Keyring, State
from shared.database import Database, open_database
from shared.keys import id_in
from shared.models import KeyRow
from shared.queue import Queue
from shared.rates import Rate
from shared.scopes import Scope
from tests.build import make_settings
from tests.keys import bearer, make_key, revoke, with_another_secret
from tests.serving import read_keyring, serving
from tests.waiting import until


class Readings:
    """Counts how often the keys were read from a database."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database.reader.sync_engine, "before_cursor_execute", self._seen)

    def _seen(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.count += "FROM api_keys" in statement


async def test_a_key_speaks_for_its_caller(database: Database) -> None:
    key = await make_key(database, "ada", Scope.ADD, rate="5/minute")
    other = await make_key(database, "ada", Scope.READ)
    keyring = await read_keyring(database, rate_limit="7/hour")
    found = keyring.find(key.encode())
    assert found is not None
    assert (found.name, found.scopes, found.rate) == ("ada", frozenset({Scope.ADD}), Rate(5, 60))
    beside = keyring.find(other.encode())
    assert beside is not None
    assert (beside.name, beside.rate) == ("ada", Rate(7, 3600))
    assert keyring.find(with_another_secret(key).encode()) is None
    assert keyring.find(b"") is None


async def test_a_fresh_key_works_at_once(sqlite_database: Database, fake_queue: Queue) -> None:
    async with serving(sqlite_database, fake_queue, keys_refresh_s=3600) as client:
        assert (await client.post("/add")).status_code == 202
        for _ in range(2):
            key = await make_key(sqlite_database, "ada")
            assert (await client.post("/add", headers=bearer(key))).status_code == 202
        assert (await client.post("/add")).status_code == 401


async def test_a_key_that_is_made_closes_the_door_within_the_interval(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    async with serving(sqlite_database, fake_queue, keys_refresh_s=0.05) as client:
        assert (await client.get("/collections")).status_code == 200
        await make_key(sqlite_database, "ada")

        async def is_closed() -> bool:
            return (await client.get("/collections")).status_code == 401

        await until(is_closed)


async def test_a_revoked_key_is_refused_within_the_interval_and_the_last_one_does_not_open_the_door(
    sqlite_database: Database, fake_queue: Queue
) -> None:
    key = await make_key(sqlite_database, "ada")
    async with serving(sqlite_database, fake_queue, keys_refresh_s=0.05) as client:
        assert (await client.get("/collections", headers=bearer(key))).status_code == 200
        await revoke(sqlite_database, key)

        async def is_refused() -> bool:
            return (await client.get("/collections", headers=bearer(key))).status_code == 401

        await until(is_refused)
        assert (await client.get("/collections")).status_code == 401
    async with serving(sqlite_database, fake_queue) as started_later:
        assert (await started_later.get("/collections")).status_code == 401


async def test_a_key_expires_by_itself(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await make_key(sqlite_database, "ada", expires_in=timedelta(hours=1))
    keyring = await read_keyring(sqlite_database)
    now_s = time.time()
    for later_s, works in ((0, True), (3500, True), (3700, False)):
        monkeypatch.setattr(time, "time", lambda later_s=later_s: now_s + later_s)
        assert (keyring.find(key.encode()) is not None) == works


async def test_a_database_that_lost_its_keys_does_not_open_the_door(sqlite_database: Database) -> None:
    key = await make_key(sqlite_database, "ada")
    keyring = await read_keyring(sqlite_database)
    async with sqlite_database.writes.begin() as session:
        await session.delete(await session.get_one(KeyRow, (id_in(key.encode()) or b"").decode()))
    await keyring.refresh()
    assert keyring.state is State.CLOSED
    assert keyring.find(key.encode()) is None


async def test_without_the_database_the_last_keys_go_on(sqlite_database: Database, fake_queue: Queue) -> None:
    key = await make_key(sqlite_database, "ada")
    keyring = await read_keyring(sqlite_database)
    away = open_database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    keyring._database = away
    await keyring.refresh()
    async with serving(away, fake_queue, keyring=keyring) as client:
        assert (await client.post("/add", headers=bearer(key))).status_code == 202
        begun = time.monotonic()
        unknown = bearer("dibs_0000000000_" + "0" * 38)
        assert (await client.post("/add", headers=unknown)).status_code == 401
        assert time.monotonic() - begun < LOOK_AGAIN_S, "nobody waits for a database that is known to be away"
    await away.close()


async def test_keys_that_could_not_be_read_are_read_once_they_can_be(
    sqlite_database: Database, fake_queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    key = await make_key(sqlite_database, "ada")
    away = open_database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    keyring = Keyring(away, make_settings())
    async with serving(sqlite_database, fake_queue, keyring=keyring) as client:
        assert (await client.post("/add", headers=bearer(key))).status_code == 503
        keyring._database = sqlite_database

        async def is_let_in() -> bool:
            return (await client.post("/add", headers=bearer(key))).status_code == 202

        await until(is_let_in)
        assert (await client.post("/add")).status_code == 401
    assert "nobody is let in until they can be" in caplog.text
    assert key not in caplog.text
    await away.close()


async def test_however_many_unknown_keys_come_the_database_is_asked_seldom(sqlite_database: Database) -> None:
    await make_key(sqlite_database, "ada")
    keyring = await read_keyring(sqlite_database)
    unknown = [(await make_key(sqlite_database, "x")).encode() for _ in range(40)]
    readings = Readings(sqlite_database)
    found = await asyncio.gather(*(keyring.look_again(key) for key in unknown))
    assert all(found)
    assert readings.count == 1, "whoever came before a reading began is served by it"
    # A known id with a wrong secret, a revoked key and what is no key at all are no reason to ask.
    await revoke(sqlite_database, unknown[0].decode())
    await keyring.refresh()
    readings.count = 0
    for key in (with_another_secret(unknown[1].decode()).encode(), unknown[0], b"dibs_x", b"dibs_" + b"0" * 49):
        assert await keyring.look_again(key) is None
    assert readings.count == 0


async def test_a_scope_of_a_later_version_allows_nothing(sqlite_database: Database) -> None:
    key = await make_key(sqlite_database, "ada", Scope.READ)
    async with sqlite_database.writes.begin() as session:
        await session.execute(update(KeyRow).values(scopes="read rule-the-world"))
    found = (await read_keyring(sqlite_database)).find(key.encode())
    assert found is not None
    assert found.scopes == {Scope.READ}
