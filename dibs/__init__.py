"""dibs: insert the first of these rows that is still free, exactly once, and tell which one it was.

`Dibs` is the async client of a server, `DibsSync` the same without `await`:

    async with Dibs("http://127.0.0.1:8000") as dibs:
        job = await dibs.add("Max", "Cody")
        match await job.outcome(timeout=10):
            case Succeeded(row): print("inserted", row)
            case Exhausted(): print("all are taken")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dibs.client.answers import Collection, Health, Retried, Stats
    from dibs.client.errors import DibsError, Garbled, Refused, TimedOut, Unreachable, Unsendable
    from dibs.client.faces import Dibs, DibsSync, Job, JobSync
    from dibs.client.outcomes import Cancelled, Exhausted, Failed, Outcome, Succeeded
    from dibs.client.requests import Add, Candidate
    from shared.contract import JobView, Status
    from shared.problems import Problem

__all__ = [
    "Add",
    "Cancelled",
    "Candidate",
    "Collection",
    "Dibs",
    "DibsError",
    "DibsSync",
    "Exhausted",
    "Failed",
    "Garbled",
    "Health",
    "Job",
    "JobSync",
    "JobView",
    "Outcome",
    "Problem",
    "Refused",
    "Retried",
    "Stats",
    "Status",
    "Succeeded",
    "TimedOut",
    "Unreachable",
    "Unsendable",
]

_PLACES = {
    "dibs.client.answers": ("Collection", "Health", "Retried", "Stats"),
    "dibs.client.errors": ("DibsError", "Garbled", "Refused", "TimedOut", "Unreachable", "Unsendable"),
    "dibs.client.faces": ("Dibs", "DibsSync", "Job", "JobSync"),
    "dibs.client.outcomes": ("Cancelled", "Exhausted", "Failed", "Outcome", "Succeeded"),
    "dibs.client.requests": ("Add", "Candidate"),
    "shared.contract": ("JobView", "Status"),
    "shared.problems": ("Problem",),
}


if not TYPE_CHECKING:  # to a type checker it would give every name there is

    def __getattr__(name: str) -> object:
        """The client is loaded when it is asked for (PEP 562): the server's processes, in the same package, have no use
        for httpx.
        """
        for module, names in _PLACES.items():
            if name in names:
                found: object = getattr(import_module(module), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
