"""The question's test with the kit's client: on each database, in each mode."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import MetaData, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shared.testing.templates import Migrate, create_all
from tests.question.database import Animal, Base

pytestmark = pytest.mark.dibs(database=["sqlite", "memory", "postgresql"], mode=["engine", "fast"])


async def test_a_taken_name_is_followed_by_the_next(dibs_client: httpx.AsyncClient) -> None:
    response = await dibs_client.post("/add")
    assert response.json() == "Max"

    response = await dibs_client.post("/add")  # Max is taken: the insert fails, is rolled back, and retried
    assert response.json() == "Cody"
