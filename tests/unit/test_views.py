"""What a caller is told of a job."""

from dataclasses import replace
from uuid import uuid4

import pytest

from shared.contract import JobView, Place, dump_queued
from shared.encoding import encode
from shared.tickets import Ticket, dump_ticket
from tests.build import ANIMALS, make_job


@pytest.mark.parametrize("root", ["", "/names"])
@pytest.mark.parametrize("retry_of", [None, uuid4()])
def test_the_short_way_to_a_queued_job_says_the_same_as_the_long_one(root: str, retry_of: None) -> None:
    job = replace(make_job(ANIMALS, ["Max"]), retry_of=retry_of)

    long_way = JobView.queued(job, "animals").at(root)

    assert dump_queued(job, "animals", root) == long_way.model_dump_json().encode()


def test_the_short_way_to_a_ticket_leads_to_the_same() -> None:
    place, batch = Place(uuid4(), 7), uuid4()
    job = replace(make_job(ANIMALS, ["Max"]), retry_of=uuid4(), place=place, caller="shop")

    ticket = Ticket("animals", job.fingerprint, job.submitted_at, batch, job.caller, place, job.retry_of)

    assert dump_ticket("animals", job, batch) == encode(ticket)
