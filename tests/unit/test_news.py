"""What is said of jobs that have ended: always who, and of a few also what became of them."""

from dataclasses import replace

import pytest

from shared.news import WHOLE, WHOLE_BYTES, dump_news, load_news, load_receipts
from shared.problems import Kind, problem
from shared.receipts import Receipt
from tests.build import ANIMALS, make_job


def ended(count: int) -> list[Receipt]:
    jobs = [make_job(ANIMALS, ["Max", "Cody"]) for _ in range(count)]
    return [Receipt.succeeded(job, "animals", tries=1, choice=1, row={"id": 2, "name": "Cody"}) for job in jobs]


def ids_of(receipts: list[Receipt]) -> list[str]:
    return [str(receipt.id) for receipt in receipts]


def test_a_few_are_told_with_all_but_their_content() -> None:
    receipts = [
        *ended(1),
        Receipt.failed(make_job(ANIMALS, ["Max"]), "animals", tries=2, error=problem(Kind.POISON, "x")),
    ]

    ids, told = load_news(dump_news(ids_of(receipts), receipts))

    assert ids == ids_of(receipts)
    assert load_receipts(told) == [replace(receipt, content=None) for receipt in receipts]


@pytest.mark.parametrize(
    "receipts", [ended(WHOLE + 1), [replace(ended(1)[0], result={"name": "x" * WHOLE_BYTES})]], ids=["many", "large"]
)
def test_of_many_and_of_large_ones_only_the_ids_are(receipts: list[Receipt]) -> None:
    assert load_news(dump_news(ids_of(receipts), receipts)) == (ids_of(receipts), b"")


def test_what_another_version_says_is_no_receipt() -> None:
    assert load_receipts(b'[{"id":"one of later"}]') == []
