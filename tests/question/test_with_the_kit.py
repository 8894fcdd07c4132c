"""The question's test with the kit's client: on each database, in each mode."""

import httpx
import pytest

from shared.testing.choice import Choice
from shared.testing.sent import Sent

pytestmark = pytest.mark.dibs(database=["sqlite", "memory", "postgresql"], mode=["engine", "fast"])


async def test_a_taken_name_is_followed_by_the_next(dibs_client: httpx.AsyncClient) -> None:
    response = await dibs_client.post("/add")
    assert response.json() == "Max"

    response = await dibs_client.post("/add")  # Max is taken: the insert fails, is rolled back, and retried
    assert response.json() == "Cody"


async def test_what_is_sent(dibs_client: httpx.AsyncClient, dibs_sent: Sent, dibs_choice: Choice) -> None:
    await dibs_client.post("/add")
    dibs_sent.clear()
    await dibs_client.post("/add")
    assert dibs_sent.outline == {
        "engine": ["BEGIN", "INSERT", "ROLLBACK", "BEGIN", "INSERT", "COMMIT"],
        "fast": [
            "SAVEPOINT dibs_test", "INSERT", "ROLLBACK TO SAVEPOINT dibs_test", "INSERT",
            "RELEASE SAVEPOINT dibs_test",
        ],
    }[dibs_choice.mode]  # fmt: skip
