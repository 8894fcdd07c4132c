"""Settings: each by its variable, each error in one line, no secret in any of them."""

import pytest

from shared.redis import read_sentinel_url
from shared.settings import Settings, SettingsError

SECRET = "s3cr3t"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any setting of dibs."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DIBS_{name.upper()}", raising=False)
    return monkeypatch


def error_of(environment: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__
    return str(caught.value)


def test_nothing_needs_to_be_set(environment: pytest.MonkeyPatch) -> None:
    settings = Settings.load()
    assert (settings.database_url, settings.redis_url, settings.models) == (None, None, ())
    assert settings.embedded_database_url == "sqlite+aiosqlite:///.dibs/dibs.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_every_spelling_of_postgresql_is_its_async_driver(environment: pytest.MonkeyPatch, scheme: str) -> None:
    environment.setenv("DIBS_DATABASE_URL", f"{scheme}://dibs:{SECRET}@db/dibs?ssl=require")
    assert Settings.load().database_url == f"postgresql+asyncpg://dibs:{SECRET}@db/dibs?ssl=require"


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_every_spelling_of_sqlite_is_its_async_driver(environment: pytest.MonkeyPatch, scheme: str) -> None:
    environment.setenv("DIBS_DATABASE_URL", f"{scheme}:///data/dibs.db")
    assert Settings.load().database_url == "sqlite+aiosqlite:///data/dibs.db"


def test_models_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DIBS_MODELS", "shop.models, other:Thing,")
    assert Settings.load().models == ("shop.models", "other:Thing")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("DIBS_DATABASE_URL", f"mysql://dibs:{SECRET}@db/dibs", "must begin with postgresql:// or sqlite:///"),
        ("DIBS_DATABASE_URL", SECRET, "is not a database address"),
        ("DIBS_DATABASE_URL", "sqlite://", "must name a file"),
        ("DIBS_DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("DIBS_DATABASE_URL", f"postgresql://dibs:{SECRET}@db/dibs?pooler=session", "knows of poolers only"),
        ("DIBS_REDIS_URL", f"http://:{SECRET}@redis/0", "must begin with redis://"),
        ("DIBS_REDIS_URL", f"sentinel://:{SECRET}@", "must look like sentinel://"),
        ("DIBS_REDIS_URL", f"sentinel://:{SECRET}@one,two:26380", "must look like sentinel://"),
        ("DIBS_REDIS_URL", f"sentinel://:{SECRET}@one/main/x", "must look like sentinel://"),
        ("DIBS_REDIS_URL", f"sentinel://:{SECRET}@one,,two/main", "must look like sentinel://"),
        ("DIBS_PORT", "http", "valid integer"),
        ("DIBS_PORT", "65536", "65535"),
        ("DIBS_CONCURRENCY", "0", "greater than or equal to 1"),
        ("DIBS_LOG_LEVEL", "LOUD", "pattern"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable(
    environment: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    text = error_of(environment, **{variable: value})
    assert text.startswith(f"{variable}: ")
    assert told in text
    assert SECRET not in text


def test_sentinels_are_read_from_their_url() -> None:
    where = read_sentinel_url("sentinel://dibs:p%40ss@one,[::1]:26380,three:1/main/2")
    assert where.hosts == [("one", 26379), ("::1", 26380), ("three", 1)]
    assert (where.master, where.database, where.username, where.password) == ("main", 2, "dibs", "p@ss")
    assert read_sentinel_url("sentinel://one/main").password is None


def test_every_wrong_variable_is_told_at_once(environment: pytest.MonkeyPatch) -> None:
    text = error_of(environment, DIBS_PORT="x", DIBS_MAX_TRIES="0")
    assert "DIBS_PORT: " in text
    assert "DIBS_MAX_TRIES: " in text


def test_what_a_process_cannot_do_without_is_asked_for_by_its_variable(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^DIBS_DATABASE_URL is not set"):
        Settings.load().need("database_url")
    environment.setenv("DIBS_REDIS_URL", "redis://redis/1")
    assert Settings.load().need("redis_url") == "redis://redis/1"
