"""What crosses Redis is JSON: nothing that can run is ever run."""

from pathlib import Path

import orjson
import pytest

from shared.contract import Batch
from shared.payload import dump_payload, load_payload
from tests.build import ANIMALS, make_bomb, make_job, make_payload

JOB = make_job(ANIMALS, ["Max"])
CONTENT = Batch(collection="animals", jobs=[JOB])
BATCH = make_payload(ANIMALS, [JOB])
NOTHING: dict[str, object] = {"t": None, "f": "add", "a": [None], "k": {}, "et": 0}


def test_pickle_is_a_delivery_of_nothing_and_is_not_run(tmp_path: Path) -> None:
    bomb = make_bomb(tmp_path / "bang")
    assert load_payload(bomb) == NOTHING
    assert not (tmp_path / "bang").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"1",
        b"{}",
        orjson.dumps({"f": "other", "a": [{}], "et": 1}),
        orjson.dumps({"f": ["add"], "a": [{}], "et": 1}),
        orjson.dumps({"f": "add", "a": {"0": 1}, "et": 1}),
        orjson.dumps({"f": "add", "et": 1}),
    ],
)
def test_what_is_no_envelope_of_ours_is_a_delivery_of_nothing(content: bytes) -> None:
    assert load_payload(content) == NOTHING


def test_an_envelope_of_ours_keeps_its_batch_and_its_time() -> None:
    content = dump_payload({"t": None, "f": "add", "a": [BATCH], "k": {}, "et": 12})
    assert load_payload(content) == {"t": None, "f": "add", "a": [CONTENT], "k": {}, "et": 12}


@pytest.mark.parametrize("more", [{"t": 99}, {"k": {"ctx": 1}}])
def test_an_envelope_cannot_bring_anything_but_its_batch(more: dict[str, object]) -> None:
    content = orjson.dumps({"t": None, "f": "add", "a": [BATCH], "k": {}, "et": 12} | more)
    assert load_payload(content) == {"t": None, "f": "add", "a": [CONTENT], "k": {}, "et": 12}


def test_an_exception_is_told_as_text() -> None:
    assert orjson.loads(dump_payload({"r": ValueError("no")})) == {"r": "no"}
