"""What to do after a fault, decided as a value; the caller performs it."""

from dataclasses import dataclass
from random import Random

from shared.faults import Fault, FaultClass
from shared.problems import Kind, Problem, problem


@dataclass(frozen=True)
class Policy:
    """How often and how late a passing fault is tried again."""

    max_tries: int = 8
    base_s: float = 0.05
    cap_s: float = 10.0


@dataclass(frozen=True)
class Wait:
    """The database is away: wait until it answers; no try is spent."""


@dataclass(frozen=True)
class Later:
    """The same candidates again after `delay_s`."""

    delay_s: float
    spends_try: bool


@dataclass(frozen=True)
class GiveUp:
    """No more tries: the jobs fail with `error`."""

    error: Problem


Decision = Wait | Later | GiveUp


def decide(fault: Fault, *, tries_spent: int, policy: Policy, random: Random) -> Decision:
    """What follows on `fault`, met by a batch that had spent `tries_spent` tries before.

    A schema that is not as it should be is mended by an operator, so the jobs are kept and tried again at the
    longest delay. Refused and unknown errors come here only when not even a failed receipt could be written, and
    are treated alike.
    """
    if fault.kind is FaultClass.OUTAGE:
        return Wait()
    if fault.kind not in {FaultClass.PASSING, FaultClass.TIMEOUT}:
        return Later(policy.cap_s, spends_try=False)
    tries = tries_spent + 1
    if tries >= policy.max_tries:
        return GiveUp(problem(Kind.TRIES_SPENT, f"{tries} tries, the last met {fault.code}: {fault.detail}"))
    # Full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    return Later(random.uniform(0, bare_delay_s(tries, policy)), spends_try=True)


def bare_delay_s(tries: int, policy: Policy) -> float:
    """The longest delay after `tries` tries, without the jitter: doubles from `base_s` up to `cap_s`."""
    return min(policy.cap_s, policy.base_s * 2.0 ** (tries - 1))
