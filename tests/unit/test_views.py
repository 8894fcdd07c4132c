"""What a caller is told of a job."""

from dataclasses import replace
from uuid import uuid4

import pytest

from shared.clock import utc_now
from shared.contract import Place, Status
from shared.encoding import encode
from shared.problems import FieldError, Kind, problem
from shared.receipts import Receipt
from shared.tickets import Ticket, Waiting, dump_ticket
from tests.build import ANIMALS, make_job

RETRIED = replace(make_job(ANIMALS, ["Max", "Cody"]), retry_of=uuid4())
ERROR = problem(Kind.POISON, "x", errors=[FieldError(pointer="/candidates", detail="y")])


@pytest.mark.parametrize("root", ["", "/names"])
@pytest.mark.parametrize(
    "job",
    [
        Receipt.succeeded(RETRIED, "animals", tries=2, choice=1, row={"id": 2, "name": "Cödy", "born": "2026-01-01"}),
        Receipt.exhausted(replace(RETRIED, retry_of=None), "animals", tries=1),
        Receipt.failed(RETRIED, "animals", tries=1, error=ERROR),
        Waiting(uuid4(), Ticket("animals", "", utc_now(), uuid4()), Status.RETRYING, 3),
        Waiting(uuid4(), Ticket("animals", "", utc_now(), uuid4(), retry_of=uuid4()), Status.QUEUED, 0),
    ],
    ids=["succeeded", "exhausted", "failed", "retrying", "queued"],
)
def test_the_short_way_to_an_answer_says_the_same_as_the_long_one(root: str, job: Receipt | Waiting) -> None:
    assert job.dump(root) == job.view().dump(root)


def test_the_short_way_to_a_ticket_leads_to_the_same() -> None:
    place, batch = Place(uuid4(), 7), uuid4()
    job = replace(make_job(ANIMALS, ["Max"]), retry_of=uuid4(), place=place, caller="shop")

    ticket = Ticket("animals", job.fingerprint, job.submitted_at, batch, job.caller, place, job.retry_of)

    assert dump_ticket("animals", job, batch) == encode(ticket)
