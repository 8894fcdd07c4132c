"""Who tries for what, before the database is asked."""

from hypothesis import given
from hypothesis import strategies as st

from shared.contract import Job
from tests.build import ANIMALS, HANDLES, make_handle_job, make_job, make_wishes
from worker.claim import Pick, Wish, plan

NAMES = st.sampled_from("abcdefgh")


def planned(jobs: list[Job], taken: set[str]) -> tuple[list[Wish], dict[int, Pick], list[Pick], list[Wish]]:
    """The wishes, the pick of each by its place, all picks, and the empty-handed."""
    wishes = make_wishes(ANIMALS, jobs)
    picks, empty = plan(wishes, {(name,) for name in taken})
    return wishes, {wishes.index(pick.wish): pick for pick in picks}, picks, empty


def test_the_first_free_candidate_is_picked() -> None:
    _, by_place, _, empty = planned([make_job(ANIMALS, ["Max", "Cody", "Abby"])], {"Max"})
    assert (by_place[0].choice, by_place[0].key, by_place[0].row) == (1, ("Cody",), {"name": "Cody"})
    assert empty == []


def test_earlier_jobs_pick_first() -> None:
    wishes, by_place, _, empty = planned([make_job(ANIMALS, ["Max", "Cody"]) for _ in range(3)], set())
    assert [by_place[place].choice for place in (0, 1)] == [0, 1]
    assert empty == [wishes[2]]


def test_a_pair_is_taken_as_a_pair() -> None:
    wishes = make_wishes(HANDLES, [make_handle_job("acme", "root"), make_handle_job("globex", "root", "admin")])
    picks, empty = plan(wishes, {("globex", "root")})
    assert [pick.key for pick in picks] == [("acme", "root"), ("globex", "admin")]
    assert empty == []


def test_what_is_given_is_not_changed() -> None:
    taken = {("Max",)}
    plan(make_wishes(ANIMALS, [make_job(ANIMALS, ["Max", "Cody"])]), taken)
    assert taken == {("Max",)}


@given(st.lists(st.lists(NAMES, min_size=1, max_size=6), max_size=8), st.sets(NAMES))
def test_every_plan_is_fair(candidates: list[list[str]], taken: set[str]) -> None:
    wishes, by_place, picks, empty = planned([make_job(ANIMALS, names) for names in candidates], taken)

    keys = [pick.key for pick in picks]
    assert keys == sorted(set(keys)), "nobody the same, and in the order of the keys"
    gone = set(taken)
    for place, names in enumerate(candidates):
        free = next((n for n in names if n not in gone), None)
        if free is None:
            assert wishes[place] in empty
            assert place not in by_place
        else:
            assert by_place[place].key == (free,)
            assert by_place[place].choice == names.index(free)
            gone.add(free)
    assert len(picks) + len(empty) == len(wishes)
