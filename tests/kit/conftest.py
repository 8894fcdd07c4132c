"""The kit as an adopter has it who knows nothing of dibs: models, an application and an arq worker of its own."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shared.testing.templates import Migrate, create_all
from tests.kit.naive import add
from tests.question.database import Base, get_async_db_session
from tests.question.main import app


@pytest.fixture
def dibs_migrate() -> Migrate:
    return create_all(Base.metadata)  # tests/conftest.py has dibs's own; elsewhere dibs_metadata is enough


@pytest.fixture
def dibs_app() -> FastAPI:
    return app


@pytest.fixture
def dibs_session_dependency() -> Callable[..., Any]:
    return get_async_db_session


@pytest.fixture
def dibs_worker_settings(dibs_sessions: async_sessionmaker[AsyncSession]) -> Mapping[str, Any]:
    return {"functions": [add], "ctx": {"sessions": dibs_sessions}}
