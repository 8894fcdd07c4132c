"""What a worker tells of its work while it does it: to Prometheus, to the traces of its jobs, to its log."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from structlog.contextvars import bound_contextvars

from shared.contract import Job
from shared.faults import Fault
from shared.receipts import Receipt
from shared.tickets import Delivery
from shared.tracing import Tracing
from worker.metrics import WorkerMetrics
from worker.traces import ClaimSpan, claim_span


class ClaimWatch:
    """One claim, as its events come."""

    def __init__(self, metrics: WorkerMetrics, span: ClaimSpan | None) -> None:
        self._metrics = metrics
        self._span = span

    def ended(self, receipts: Collection[Receipt]) -> None:
        """`receipts` are committed."""
        self._metrics.ended(receipts)
        if self._span is not None:
            self._span.ended(receipts)

    def met(self, fault: Fault) -> None:
        """A fault that is nobody's in the claim."""
        self._metrics.fault(fault.kind)
        if self._span is not None:
            self._span.met(fault)

    def put_off(self, fault: Fault) -> None:
        """The claim ends without receipts: its jobs come again."""
        if self._span is not None:
            self._span.put_off(fault.code)


@dataclass(frozen=True)
class Watch:
    """Made once for each worker."""

    metrics: WorkerMetrics
    tracing: Tracing | None = None

    @contextmanager
    def delivery(self, deliveries: Sequence[Delivery]) -> Iterator[None]:
        """Around whatever is done about `deliveries`: what is logged within names the first batch, and their number."""
        self.metrics.delivered(deliveries)
        more = {"batches": len(deliveries)} if len(deliveries) > 1 else {}
        with bound_contextvars(batch=deliveries[0].batch, **more):
            yield

    @contextmanager
    def claim(self, collection: str, jobs: Sequence[Job], *, first: bool) -> Iterator[ClaimWatch]:
        """Around a claim; what is logged within names a lone job, or how many there are."""
        self.metrics.claimed(collection, jobs, first=first)
        began_s = time.perf_counter()
        spanned = nullcontext() if self.tracing is None else claim_span(self.tracing, collection, jobs)
        try:
            with bound_contextvars(collection=collection, **_named(jobs)), spanned as span:
                yield ClaimWatch(self.metrics, span)
        finally:
            self.metrics.claim_ended(collection, time.perf_counter() - began_s)


def _named(jobs: Sequence[Job]) -> dict[str, str | int]:
    return {"job_id": str(jobs[0].id)} if len(jobs) == 1 else {"jobs": len(jobs)}
