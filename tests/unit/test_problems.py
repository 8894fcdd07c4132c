"""Problems: one shape, stable types, a status where a caller is answered with one."""

import pytest

from shared.problem_kinds import ABOUT
from shared.problems import FieldError, Kind, Problem, problem

OUTCOMES = {Kind.REFUSED, Kind.TRIES_SPENT, Kind.POISON, Kind.UNREADABLE, Kind.LOST, Kind.UNEXPECTED}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_type_title_and_status(kind: Kind) -> None:
    made = problem(kind, "why")
    assert (made.type, made.title, made.kind) == (f"/problems/{kind.value}", ABOUT[kind].title, kind)
    assert (made.status is None) == (kind in OUTCOMES)


def test_the_texts_tell_the_kinds_apart() -> None:
    assert list(ABOUT) == list(Kind)
    for texts in ([about.title for about in ABOUT.values()], [about.meaning for about in ABOUT.values()]):
        assert len(set(texts)) == len(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_says_what_it_means_and_what_to_do(kind: Kind) -> None:
    about = ABOUT[kind]
    assert about.meaning.endswith(".")
    assert about.remedy.endswith(".")
    assert not about.title.endswith(".")


def test_a_problem_is_read_back_as_it_was() -> None:
    made = problem(
        Kind.REFUSED, "no", constraint="ck_a", column="a", errors=[FieldError(pointer="/a~1b", detail="bad")]
    )
    assert Problem.model_validate_json(made.model_dump_json(exclude_none=True)) == made


def test_the_types_that_callers_rely_on_do_not_change() -> None:
    assert {kind.value for kind in Kind} >= {
        "malformed", "unknown-collection", "unknown-job", "too-late", "not-retryable", "too-large", "invalid",
        "idempotency-key-reused", "queue-full", "refused-by-database", "tries-spent", "poison", "lost-in-queue",
    }  # fmt: skip
