"""API keys as the tests make them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx

from shared.clock import utc_now
from shared.database import Database
from shared.keys import create_key, id_in, revoke_key
from shared.rates import Rate
from shared.scopes import Scope


async def make_key(
    database: Database,
    caller: str,
    *scopes: Scope,
    rate: str | None = None,
    expires_in: timedelta | None = None,
    is_revoked: bool = False,
) -> str:
    """A key of `caller`, for adding and reading unless `scopes` are given."""
    async with database.writes.begin() as session:
        text, made = await create_key(
            session,
            caller,
            scopes or (Scope.ADD, Scope.READ),
            rate=Rate.parse(rate) if rate else None,
            expires_at=utc_now() + expires_in if expires_in is not None else None,
        )
        if is_revoked:
            await revoke_key(session, made.id)
    return text


@asynccontextmanager
async def as_caller(
    client: httpx.AsyncClient, database: Database, name: str, *scopes: Scope
) -> AsyncIterator[httpx.AsyncClient]:
    """A client like `client` with a key of `name`, for adding and reading unless `scopes` are given."""
    key = await make_key(database, name, *scopes)
    async with httpx.AsyncClient(
        transport=client._transport, base_url=client.base_url, headers=bearer(key), timeout=client.timeout
    ) as somebody:
        yield somebody


async def revoke(database: Database, key: str) -> None:
    async with database.writes.begin() as session:
        assert await revoke_key(session, (id_in(key.encode()) or b"").decode())


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def with_another_secret(key: str) -> str:
    """`key` with one character of its secret changed, which its checksum does not know of."""
    place = len("dibs_") + 15
    return key[:place] + ("a" if key[place] != "a" else "b") + key[place + 1 :]
