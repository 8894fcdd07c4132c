"""What the kit needs to know of the question's application, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData

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
