"""What follows on a fault, as a value."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.faults import Fault, FaultClass
from shared.problems import Kind
from worker.retry import Decision, GiveUp, Later, Policy, Wait, bare_delay_s, decide

POLICY = Policy(max_tries=8, base_s=0.05, cap_s=10.0)


def after(kind: FaultClass, *, tries_spent: int = 0, seed: int = 0) -> Decision:
    return decide(Fault(kind, "40001", "try again"), tries_spent=tries_spent, policy=POLICY, random=Random(seed))


def test_the_bare_delay_doubles_up_to_its_cap() -> None:
    delays = [bare_delay_s(tries, POLICY) for tries in range(1, 11)]
    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert bare_delay_s(1000, POLICY) == 10.0


@given(tries_spent=st.integers(0, POLICY.max_tries - 2), seed=st.integers())
def test_the_jitter_is_full_and_stays_below_the_bare_delay(tries_spent: int, seed: int) -> None:
    decision = after(FaultClass.PASSING, tries_spent=tries_spent, seed=seed)
    assert isinstance(decision, Later)
    assert 0 <= decision.delay_s <= bare_delay_s(tries_spent + 1, POLICY)


def test_the_jitter_spreads_over_the_whole_delay() -> None:
    delays = [d.delay_s for seed in range(200) if isinstance(d := after(FaultClass.PASSING, seed=seed), Later)]
    assert min(delays) < 0.1 * POLICY.base_s
    assert max(delays) > 0.9 * POLICY.base_s


@pytest.mark.parametrize("kind", [FaultClass.PASSING, FaultClass.TIMEOUT])
def test_a_passing_fault_spends_a_try(kind: FaultClass) -> None:
    decision = after(kind)
    assert isinstance(decision, Later)
    assert decision.spends_try


@pytest.mark.parametrize("kind", [FaultClass.PASSING, FaultClass.TIMEOUT])
def test_the_last_try_gives_up_and_says_what_it_met(kind: FaultClass) -> None:
    assert isinstance(after(kind, tries_spent=POLICY.max_tries - 2), Later)
    decision = after(kind, tries_spent=POLICY.max_tries - 1)
    assert isinstance(decision, GiveUp)
    assert decision.error.kind is Kind.TRIES_SPENT
    assert decision.error.detail == "8 tries, the last met 40001: try again"


@pytest.mark.parametrize("tries_spent", [0, 7, 1000])
def test_an_outage_is_waited_for_however_many_tries_were_spent(tries_spent: int) -> None:
    assert after(FaultClass.OUTAGE, tries_spent=tries_spent) == Wait()


@pytest.mark.parametrize("kind", [FaultClass.REFUSED, FaultClass.UNKNOWN])
@pytest.mark.parametrize("tries_spent", [0, 7, 1000])
def test_a_receipt_that_cannot_be_written_is_kept_for_later_and_spends_no_try(
    kind: FaultClass, tries_spent: int
) -> None:
    assert after(kind, tries_spent=tries_spent) == Later(POLICY.cap_s, spends_try=False)
