"""What is done to whom and in which order: all of it from the seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random

APIS = 2
WORKERS = 3
LEASE_S = 4.0
"""As it is by default."""


class Kind(StrEnum):
    KILL_WORKER = "SIGKILL of a worker"
    TERM_WORKER = "SIGTERM of a worker"
    KILL_API = "SIGKILL of an api"
    TERM_API = "SIGTERM of an api"
    STOP_WORKER = "SIGSTOP of a worker, for longer than its lease"
    KILL_REDIS = "SIGKILL of Redis"
    TERM_REDIS = "restart of Redis"
    KILL_POSTGRES = "SIGKILL of PostgreSQL"
    TERM_POSTGRES = "restart of PostgreSQL"


KILLS = {Kind.KILL_WORKER: 10, Kind.TERM_WORKER: 4, Kind.KILL_API: 4, Kind.TERM_API: 2}
"""Deaths of dibs's own processes, and their shares."""
OTHERS = {Kind.STOP_WORKER: 3, Kind.KILL_REDIS: 1, Kind.TERM_REDIS: 1, Kind.KILL_POSTGRES: 1, Kind.TERM_POSTGRES: 1}
"""What comes beside them: so many for each twenty kills."""

TARGETS = {
    Kind.KILL_WORKER: WORKERS,
    Kind.TERM_WORKER: WORKERS,
    Kind.STOP_WORKER: WORKERS,
    Kind.KILL_API: APIS,
    Kind.TERM_API: APIS,
}


@dataclass(frozen=True)
class Blow:
    """`pause_s` after the blow before, `kind` hits the process number `target` of its kind; what stays away or
    stands still does so for `lasts_s`.
    """

    kind: Kind
    target: int
    pause_s: float
    lasts_s: float


def make_schedule(seed: int, kills: int) -> list[Blow]:
    """`kills` deaths of api and worker processes, with what comes beside them, in a random order."""
    random = Random(seed)
    whole = sum(KILLS.values())
    kinds = _shares(KILLS, kills, kills / whole) + _shares(OTHERS, None, kills / whole)
    random.shuffle(kinds)
    return [
        Blow(kind, random.randrange(TARGETS.get(kind, 1)), random.uniform(0.3, 1.7), _lasts_s(kind, random))
        for kind in kinds
    ]


def _shares(shares: dict[Kind, int], total: int | None, times: float) -> list[Kind]:
    """Each kind by its share, at least once; where there is a `total`, the first makes up what is missing."""
    kinds = [kind for kind, share in shares.items() for _ in range(max(1, round(share * times)))]
    if total is None:
        return kinds
    return list(_padded(kinds, next(iter(shares)), total))


def _padded(kinds: list[Kind], filler: Kind, total: int) -> Iterator[Kind]:
    yield from kinds[-total:]
    yield from (filler for _ in range(total - len(kinds)))


def _lasts_s(kind: Kind, random: Random) -> float:
    return random.uniform(LEASE_S + 0.5, LEASE_S + 2.5) if kind is Kind.STOP_WORKER else random.uniform(0, 2.5)
