"""What the kit needs to know of the question's application, and what the ways out send without the kit."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from shared.testing.sent import Sent
from shared.testing.templates import Migrate, create_all
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
def sent() -> Iterator[Sent]:
    """What any engine sends; `dibs_sent` is for the kit's own."""
    sent = Sent()
    with sent.listening():
        yield sent
