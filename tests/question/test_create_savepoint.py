"""The second way out: the transaction around the test stays, and each request's session joins it by a savepoint."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from shared.testing.sent import Sent
from tests.question.database import Base, get_async_db_session
from tests.question.main import app


@pytest.fixture
async def db_engine() -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")

    @event.listens_for(engine.sync_engine, "connect")
    def _take_over(connection: Any, _entry: object) -> None:
        connection.isolation_level = None  # else the driver sends no BEGIN before SAVEPOINT

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
async def db_connection(db_engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with db_engine.connect() as connection, connection.begin() as transaction:
        yield connection
        await transaction.rollback()


@pytest.fixture
async def client(db_connection: AsyncConnection) -> AsyncIterator[AsyncClient]:
    async def session_of_this_request() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(db_connection, join_transaction_mode="create_savepoint") as session:
            yield session

    app.dependency_overrides[get_async_db_session] = session_of_this_request
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
    app.dependency_overrides.clear()


async def test_a_taken_name_is_followed_by_the_next(sent: Sent, client: AsyncClient) -> None:
    sent.clear()  # what the fixtures sent
    response = await client.post("/add")
    assert response.json() == "Max"

    response = await client.post("/add")
    assert response.json() == "Cody"

    assert sent.outline == [
        "SAVEPOINT sa_savepoint_1", "INSERT", "RELEASE SAVEPOINT sa_savepoint_1",  # Max
        "SAVEPOINT sa_savepoint_2", "INSERT", "ROLLBACK TO SAVEPOINT sa_savepoint_2",  # Max again
        "SAVEPOINT sa_savepoint_3", "INSERT", "RELEASE SAVEPOINT sa_savepoint_3",  # Cody
    ]  # fmt: skip
