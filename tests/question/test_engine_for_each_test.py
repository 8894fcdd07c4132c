"""The first way out: a database and an engine for each test, and a session for each request, as in production."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from shared.testing.sent import Sent
from tests.question.database import Base, get_async_db_session
from tests.question.main import app


@pytest.fixture
async def db_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/test.db", poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
async def client(db_engine: AsyncEngine) -> AsyncIterator[AsyncClient]:
    sessions = async_sessionmaker(db_engine, expire_on_commit=False)

    async def session_of_this_request() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
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
        "BEGIN", "INSERT", "COMMIT",  # Max
        "BEGIN", "INSERT", "ROLLBACK",  # Max again
        "BEGIN", "INSERT", "COMMIT",  # Cody
    ]  # fmt: skip
