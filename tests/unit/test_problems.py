"""Problems: one shape, stable types, a status where a caller is answered with one."""

import pytest

from shared.problems import STATUS, TITLES, FieldError, Kind, Problem, problem

OUTCOMES = {Kind.REFUSED, Kind.TRIES_SPENT, Kind.POISON, Kind.UNREADABLE, Kind.LOST, Kind.UNEXPECTED}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_type_title_and_status(kind: Kind) -> None:
    made = problem(kind, "why")
    assert (made.type, made.title, made.kind) == (f"/problems/{kind.value}", TITLES[kind], kind)
    assert (made.status is None) == (kind in OUTCOMES) == (kind not in STATUS)


def test_titles_tell_the_kinds_apart() -> None:
    assert len(set(TITLES.values())) == len(Kind)


def test_a_problem_is_read_back_as_it_was() -> None:
    made = problem(
        Kind.REFUSED, "no", constraint="ck_a", column="a", errors=[FieldError(pointer="/a~1b", detail="bad")]
    )
    assert Problem.model_validate_json(made.model_dump_json(exclude_none=True)) == made


def test_the_types_that_callers_rely_on_do_not_change() -> None:
    assert {kind.value for kind in Kind} >= {
        "malformed", "unknown-collection", "unknown-job", "too-late", "too-large", "invalid",
        "idempotency-key-reused", "queue-full", "refused-by-database", "tries-spent", "poison", "lost-in-queue",
    }  # fmt: skip
