"""The kit as an adopter has it who knows nothing of dibs: models, an application and an arq worker of its own."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tests.kit.naive import add
from tests.question.database import Base, get_async_db_session
from tests.question.main import app


@pytest.fixture(scope="session")
def dibs_metadata() -> MetaData:
    return Base.metadata


@pytest.fixture
def dibs_app() -> FastAPI:
    return app


@pytest.fixture
def dibs_session_dependency() -> Callable[..., Any]:
    return get_async_db_session


@pytest.fixture
def dibs_worker_settings(dibs_sessions: async_sessionmaker[AsyncSession]) -> Mapping[str, Any]:
    return {"functions": [add], "ctx": {"sessions": dibs_sessions}}
