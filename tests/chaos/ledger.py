"""What the callers were told, and whatever of it cannot be true."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

ENDED = frozenset({"succeeded", "exhausted", "failed", "cancelled"})

Outcome = tuple[str, Any, Any]
"""Status, row and choice."""


def outcome_of(view: dict[str, Any]) -> Outcome:
    return view["status"], view["result"], view["choice"]


@dataclass(frozen=True)
class Violation:
    """A broken promise: which, and for which job."""

    invariant: str
    job: str
    told: str

    def __str__(self) -> str:
        return f"{self.invariant}: job {self.job}: {self.told}"


@dataclass
class Ledger:
    """One for the run; every caller writes into it."""

    acknowledged: dict[UUID, list[str] | None] = field(default_factory=dict)
    """The candidates of each job for which an answer said that it is taken in; None for a line that is no add."""
    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    jobs_by_key: dict[str, UUID] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    answered_at: list[float] = field(default_factory=list)

    def violated(self, invariant: str, job: object, told: str) -> None:
        self.violations.append(Violation(invariant, str(job), told))

    def accepted(self, key: str, job: UUID, candidates: list[str]) -> None:
        """An add under `key` was acknowledged as `job`."""
        known = self.jobs_by_key.setdefault(key, job)
        if known != job:
            self.violated("one key is one job", job, f"{key} was {known} before")
        self.acknowledged[job] = candidates
        self.answered_at.append(time.time())

    def seen(self, view: dict[str, Any]) -> None:
        """Somebody saw the job like this."""
        if view["status"] not in ENDED:
            return
        job, outcome = UUID(view["id"]), outcome_of(view)
        known = self.outcomes.setdefault(job, outcome)
        if known != outcome:
            self.violated("no two different outcomes", job, f"{known} and {outcome}")
