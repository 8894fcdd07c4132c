"""The question's test as it was asked: a fixture wraps the test in a transaction, and the route's rollback ends it."""

from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from shared.testing.sent import Sent
from tests.question.database import Base, get_async_db_session
from tests.question.main import app


@pytest.fixture
async def db_engine() -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
async def db_session(db_engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with db_engine.connect() as connection, connection.begin() as transaction:
        async with AsyncSession(bind=connection, expire_on_commit=False) as session:
            yield session
        if transaction.is_active:
            await transaction.rollback()


@pytest.fixture
async def client(db_session: AsyncSession) -> AsyncIterator[AsyncClient]:
    app.dependency_overrides[get_async_db_session] = lambda: db_session
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
    app.dependency_overrides.clear()


async def test_the_second_insert_meets_a_closed_transaction(sent: Sent, client: AsyncClient) -> None:
    sent.clear()  # what the fixtures sent
    response = await client.post("/add")
    assert response.json() == "Max"

    with pytest.raises(InvalidRequestError, match="Can't operate on closed transaction inside context manager"):
        await client.post("/add")

    assert sent.outline == [
        "BEGIN", "INSERT",  # Max; the session's commit stays inside of the fixture's transaction
        "INSERT", "ROLLBACK",  # Max again: the session's rollback is the fixture's rollback
    ]  # fmt: skip
