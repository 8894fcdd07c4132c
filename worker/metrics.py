"""What a worker counts. One method for each event; a whole claim is counted at once, not job by job."""

from collections import Counter as Tally
from collections.abc import Collection, Sequence
from itertools import repeat

from prometheus_client import Counter

from shared.clock import utc_now
from shared.contract import Job
from shared.faults import FaultClass
from shared.metrics import JOBS, LONG_SECONDS, SECONDS, Distribution, Metrics
from shared.problems import Kind
from shared.receipts import Receipt
from shared.tickets import Delivery

TRIES = (1, 2, 3, 4, 5, 8, 13, 21, 50, 100)

WHY_FAILED = (
    Kind.REFUSED, Kind.TRIES_SPENT, Kind.POISON, Kind.UNREADABLE, Kind.LOST, Kind.UNEXPECTED,
    Kind.UNKNOWN_COLLECTION, Kind.INVALID, Kind.MALFORMED, Kind.TOO_LARGE,
)  # fmt: skip
"""What the receipt of a failed job may say; the last three of a line of a bulk."""

OF_RECEIPT = {Kind.REFUSED: FaultClass.REFUSED, Kind.UNEXPECTED: FaultClass.UNKNOWN}
"""Faults that end a job: they are counted by its receipt."""


class WorkerMetrics:
    """Counts into `metrics`; nothing that a caller wrote becomes a label."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        registry, by_collection = metrics.registry, ["collection"]
        tries = Distribution(
            "dibs_job_tries",
            "Tries that a job had spent when it ended.",
            by_collection,
            buckets=TRIES,
            registry=registry,
        )
        in_queue = Distribution(
            "dibs_queue_seconds",
            "Time of a job in the queue, from its submit until a claim first took it.",
            by_collection,
            buckets=LONG_SECONDS,
            registry=registry,
        )
        in_claim = Distribution(
            "dibs_claim_seconds",
            "Time of a claim, until its jobs have their receipts or are put off; a database that is away is waited for "
            "within it.",
            by_collection,
            buckets=SECONDS,
            registry=registry,
        )
        size = Distribution(
            "dibs_batch_jobs", "Jobs that one claim took together.", by_collection, buckets=JOBS, registry=registry
        )
        self._tries, self._in_queue, self._in_claim, self._size = (
            {name: histogram.labels(name) for name in metrics.collections}
            for histogram in (tries, in_queue, in_claim, size)
        )
        failed = Counter(
            "dibs_failed_jobs_total",
            "Jobs that ended as failed, by the last part of their problem's type.",
            ["collection", "problem"],
            registry=registry,
        )
        # All of them from the start, for an alert on the first one.
        self._failed = {
            (name, kind): failed.labels(name, kind.value) for name in metrics.collections for kind in WHY_FAILED
        }
        faults = Counter(
            "dibs_faults_total",
            "Faults by class: passing, outage, timeout and unfit each time that a claim met one, refused and unknown "
            "for each job that they ended.",
            ["class"],
            registry=registry,
        )
        self._faults = {kind: faults.labels(kind.name.lower()) for kind in FaultClass}
        deliveries = Counter(
            "dibs_deliveries_total",
            "Batches that were handed to this worker, by whether it was the first time.",
            ["kind"],
            registry=registry,
        )
        self._deliveries = {again: deliveries.labels("again" if again else "first") for again in (False, True)}
        self._leases_lost = Counter(
            "dibs_leases_lost_total",
            "Leases that ran out under a batch that this worker still ran: another may have taken it up.",
            registry=registry,
        )

    def delivered(self, deliveries: Sequence[Delivery]) -> None:
        again = sum(delivery.number > 1 for delivery in deliveries)
        self._deliveries[True].inc(again)
        self._deliveries[False].inc(len(deliveries) - again)

    def claimed(self, collection: str, jobs: Sequence[Job], *, first: bool) -> None:
        """A claim begins; with `first` it is the first for each of `jobs`."""
        name = self._metrics.known(collection)
        self._size[name].observe(len(jobs))
        if first:
            now = utc_now()
            # The clocks of two machines differ.
            self._in_queue[name].observe_all([max(0.0, (now - job.submitted_at).total_seconds()) for job in jobs])

    def claim_ended(self, collection: str, took_s: float) -> None:
        self._in_claim[self._metrics.known(collection)].observe(took_s)

    def ended(self, receipts: Collection[Receipt]) -> None:
        """`receipts` stand; those that were only found have been counted before."""
        alike = Tally((r.collection, r.status, r.tries, _kind_of(r)) for r in receipts if not r.found)
        for (collection, status, tries, kind), jobs in alike.items():
            name = self._metrics.known(collection)
            self._metrics.ended(name, status, jobs)
            self._tries[name].observe_all(repeat(tries, jobs))
            if kind is not None:
                self._failed[name, kind].inc(jobs)
            if kind in OF_RECEIPT:
                self._faults[OF_RECEIPT[kind]].inc(jobs)

    def fault(self, kind: FaultClass) -> None:
        """A claim met a fault that is nobody's in it."""
        self._faults[kind].inc()

    def leases_lost(self, leases: int) -> None:
        self._leases_lost.inc(leases)


def _kind_of(receipt: Receipt) -> Kind | None:
    """Why the job failed; the error of a line of a bulk was put in by an api that may be of another version."""
    if receipt.error is None:
        return None
    last = receipt.error.type.rpartition("/")[2]
    return next((kind for kind in WHY_FAILED if kind == last), Kind.UNEXPECTED)
