"""`dibs keys`: make, list and revoke API keys, in the database that the settings name or in the embedded one."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from typer import BadParameter

from dibs.errors import StartError
from dibs.logs import name_of
from dibs.schema import bring_up_to_date
from shared.clock import utc_now
from shared.database import Database, open_database
from shared.faults import sort_fault
from shared.keys import NAME, Key, create_key, read_keys, revoke_key
from shared.migrate import is_current
from shared.rates import Rate
from shared.scopes import Scope
from shared.settings import Settings

SPANS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_SPAN = re.compile(rf"([1-9]\d{{0,5}})([{''.join(SPANS)}])")


@dataclass(frozen=True)
class Wish:
    """The key that is asked for."""

    caller: str
    scopes: Sequence[Scope]
    expires_in: timedelta | None
    rate: Rate | None


def read_wish(name: str, scopes: Sequence[Scope], expires: str | None, rate: str | None) -> Wish:
    """Raises `BadParameter`."""
    if not NAME.fullmatch(name):
        raise BadParameter("a name has at most 64 letters, digits and . _ @ : -, and begins with one of the first two")
    try:
        return Wish(
            name, scopes, None if expires is None else _span(expires), None if rate is None else Rate.parse(rate)
        )
    except ValueError as error:
        raise BadParameter(f"--rate {error}") from None


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise BadParameter(f"--expires must be a number and one of {', '.join(SPANS)}, such as 90d")
    return int(found[1]) * SPANS[found[2]]


async def create(settings: Settings, wish: Wish) -> tuple[str, Key]:
    """Make the key; the first of the two is the key itself. Raises `StartError`."""
    async with _asking(settings) as session:
        expires_at = None if wish.expires_in is None else utc_now() + wish.expires_in
        return await create_key(session, wish.caller, wish.scopes, expires_at=expires_at, rate=wish.rate)


async def every(settings: Settings) -> list[Key]:
    """Every key that was ever made; raises `StartError`."""
    async with _asking(settings) as session:
        return await read_keys(session)


async def revoke(settings: Settings, key_id: str) -> tuple[Key, float]:
    """Revoke the key and return it, and how long servers may still take it, in seconds. Raises `StartError`."""
    async with _asking(settings) as session:
        key = await revoke_key(session, key_id)
    if key is None:
        raise StartError("no key has this id; `dibs keys list` shows those that there are")
    return key, settings.keys_refresh_s


@asynccontextmanager
async def _asking(settings: Settings) -> AsyncIterator[AsyncSession]:
    url = settings.database_url or settings.embedded_database_url
    if settings.database_url is None:
        await bring_up_to_date(settings)
    database = open_database(url, pool_size=1)
    try:
        await _check_schema(database, url)
        async with database.writes.begin() as session:
            yield session
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        fault = sort_fault(error)
        raise StartError(f"{name_of(url)} cannot be asked for its keys: {fault.code}: {fault.detail}") from error
    finally:
        await database.close()


async def _check_schema(database: Database, url: str) -> None:
    if not await is_current(database.reader):
        raise StartError(f"{name_of(url)} lacks tables that this dibs needs: run `dibs migrate` first")


def show_made(text: str, key: Key, *, as_json: bool) -> None:
    """The key alone on stdout, so that it can be put into a variable, and what it is on stderr."""
    if as_json:
        _out().out(json.dumps(_plain(key) | {"key": text}))
        return
    until = f"until {_moment(key.expires_at)}" if key.expires_at else "until it is revoked"
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        Text(f"{key.id} speaks for {key.caller}, scopes {_scopes(key)}, {until}. It is shown this once:", style="dim")
    )
    _out().out(text)


def show(keys: Sequence[Key], *, as_json: bool) -> None:
    if as_json:
        _out().out(json.dumps([_plain(key) for key in keys]))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "name", "scopes", "rate", "created", "expires", "state"):
        table.add_column(name, no_wrap=True)
    for key in keys:
        rate = str(key.rate) if key.rate else ""
        row = (key.id, key.caller, _scopes(key), rate, _moment(key.created_at), _moment(key.expires_at), _state(key))
        table.add_row(*row, style="default" if _state(key) == "works" else "dim")
    _out().print(table)


def show_revoked(key: Key, within_s: float, *, as_json: bool) -> None:
    if as_json:
        _out().out(json.dumps(_plain(key)))
        return
    _out().print(f"{key.id} of {key.caller} is revoked; servers that run refuse it within {within_s:g} s")


def _out() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _plain(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.caller,
        "scopes": sorted(key.scopes),
        "rate": str(key.rate) if key.rate else None,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
        "state": _state(key),
    }


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "works" if key.works_at(utc_now()) else "expired"


def _scopes(key: Key) -> str:
    return " ".join(sorted(key.scopes))


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else ""
