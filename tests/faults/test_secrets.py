"""No password and no key in anything that dibs writes or answers, while everything goes wrong."""

import asyncio
from contextlib import closing
from uuid import uuid4

import httpx
import pytest
from redis import Redis
from sqlalchemy import make_url

from shared.keys import is_well_formed
from shared.settings import Settings, SettingsError
from tests.face.processes import run
from tests.faults.conftest import StartDibs
from tests.keys import bearer, with_another_secret
from tests.services import PrivatePostgres, PrivateRedis
from tests.serving import WAIT

OF_POSTGRES = "pgs3cr3t"
OF_REDIS = "rds3cr3t"


def secrets_in(text: str, *keys: str) -> list[str]:
    """Those that `text` shows; of a key it is the secret that counts."""
    return [secret for secret in (OF_POSTGRES, OF_REDIS, *(key[16:] for key in keys)) if secret in text]


PLACES = (
    ("POST", "/add"),
    ("GET", "/openapi.json"),
    ("GET", "/health/ready"),
    ("GET", "/collections/animals"),
    ("GET", "/jobs/no"),
    ("GET", f"/jobs/{uuid4()}"),
    ("GET", f"/bulk/{uuid4()}"),
    ("PUT", "/"),
)


async def answers_of(http: httpx.AsyncClient, url: str, key: str) -> list[str]:
    """All that the api at `url` says to the right key, to wrong ones, to none, and to what is no request."""
    sent = [bearer(key), bearer(key[:-1]), bearer(with_another_secret(key)), {"Authorization": key}, {}]
    asked = [http.request(method, url + path, headers=headers) for method, path in PLACES for headers in sent]
    broken = {**bearer(key), "Content-Type": "application/json", "Idempotency-Key": "k"}
    answers = await asyncio.gather(*asked, http.post(f"{url}/add", headers=broken, content=b"{"))
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
    writer.write(f"GET / HTTP/1.1\r\nAuthorization: Bearer {key}\r\nbroken\r\n\r\n".encode())
    unread = (await reader.read()).decode()
    writer.close()
    return [unread, *(answer.text + repr(answer.headers) for answer in answers)]


async def test_nothing_that_fails_shows_a_secret(
    own_postgres: PrivatePostgres, own_redis: PrivateRedis, start_dibs: StartDibs, http: httpx.AsyncClient
) -> None:
    with closing(Redis.from_url(own_redis.url())) as redis:
        redis.config_set("requirepass", OF_REDIS)
    database_url = make_url(own_postgres.url()).set(password=OF_POSTGRES).render_as_string(hide_password=False)
    redis_url = own_redis.url().replace("redis://", f"redis://:{OF_REDIS}@")
    loud = {"DIBS_LOG_LEVEL": "DEBUG", "DIBS_GRACE_S": "1"}
    made = await asyncio.to_thread(
        run, "keys", "create", "ada", "--scope", "admin", DIBS_DATABASE_URL=database_url, **loud
    )
    key, said = made.stdout.strip(), [made.stderr]
    assert is_well_formed(key.encode())
    api, worker, wrong = (
        start_dibs(command, database_url, url, **loud, DIBS_KEYS_REFRESH_S="0.1")
        for command, url in (("api", redis_url), ("worker", redis_url), ("api", redis_url.replace("@", "x@")))
    )
    assert (await http.post(f"{api.url}/add", headers=bearer(key) | WAIT)).status_code == 200

    async def fail() -> None:
        for server in (api, wrong):
            said.extend(await answers_of(http, server.url, key))

    await fail()
    await asyncio.to_thread(own_postgres.stop, "immediate")
    await asyncio.to_thread(api.until_log_says, "the API keys cannot be read")
    await fail()
    await asyncio.to_thread(own_redis.kill)
    await asyncio.to_thread(worker.until_log_says, "Redis is away")
    await fail()
    away = await asyncio.to_thread(run, "keys", "list", DIBS_DATABASE_URL=database_url, **loud)
    said += [away.stdout, away.stderr]
    for server in (api, worker, wrong):
        await asyncio.to_thread(server.stop)
    whole = "\n".join([*said, api.log, worker.log, wrong.log])
    assert "AuthenticationError" in wrong.log
    assert "Redis is away" in api.log
    assert '"/problems/database-away"' in whole
    assert secrets_in(whole, key) == []


UNESCAPED = [
    {"database_url": f"postgresql://ada:x@host:{OF_POSTGRES}/dibs"},
    {"database_url": f"postgresql://ada:x@{OF_POSTGRES}@host/dibs"},
    {"database_url": f"postgresql://ada:x@[{OF_POSTGRES}/dibs"},
    {"database_url": f"{OF_POSTGRES}://ada"},
    {"redis_url": f"redis://:{OF_REDIS}/x@host/0"},
    {"redis_url": f"sentinel://one:{OF_REDIS}/main"},
    {"redis_url": f"redis://:1/{OF_REDIS}@host/0"},
    {"redis_url": f"redis://:1#{OF_REDIS}@host/0"},
    {"redis_url": f"redis://:x@[{OF_REDIS}/0"},
    {"redis_url": f"redis://host/0?socket_timeout={OF_REDIS}"},
    {"redis_url": f"{OF_REDIS}://host"},
]


@pytest.mark.parametrize("given", UNESCAPED, ids=lambda given: next(iter(given.values())))
def test_a_password_that_was_not_escaped_is_refused_and_not_shown(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**given)
    assert str(caught.value).startswith(f"DIBS_{next(iter(given)).upper()}: ")
    assert secrets_in(str(caught.value)) == []
    assert caught.value.__suppress_context__


def test_settings_can_be_printed() -> None:
    settings = Settings.load(
        database_url=f"postgresql://ada:{OF_POSTGRES}@host/dibs", redis_url=f"redis://:{OF_REDIS}@host/0"
    )
    assert secrets_in(f"{settings} {settings!r}") == []
    assert OF_POSTGRES in (settings.database_url or ""), "they are there all the same"
