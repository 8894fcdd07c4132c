"""dibs: insert the first of these rows that is still free, exactly once, and tell which one it was.

`Dibs` is the async client of a server, `DibsSync` the same without `await`:

    async with Dibs("http://127.0.0.1:8000") as dibs:
        job = await dibs.add("Max", "Cody")
        match await job.outcome(timeout=10):
            case Succeeded(row): print("inserted", row)
            case Exhausted(): print("all are taken")
"""

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
