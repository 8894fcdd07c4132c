"""What a test does where a program that it needs is missing."""

import os
from typing import NoReturn

import pytest

REQUIRE = "DIBS_TEST_REQUIRE_SERVICES"
"""Set to 1, a missing server program fails the tests that need it instead of skipping them."""


def missing(what: str) -> NoReturn:
    """End the test that asked: skipped, or failed where the services are required. `what` says how to get it."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
