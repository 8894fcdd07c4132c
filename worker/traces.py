"""A claim in the traces of its jobs.

OpenTelemetry's conventions for messaging: who processes a batch has many parents, so its span links to them. A claim
whose jobs all came with one context, such as a lone add or a batch of one bulk, is the child of that context instead,
and the trace is one from the request to the COMMIT. In a batch of many contexts each gets a short span of its own,
so that every trace reaches the end of its add.
"""

import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, get_current_span

from shared.contract import Job
from shared.faults import Fault
from shared.receipts import Receipt
from shared.tracing import Tracing, context_of, message_attributes, tell_error


class ClaimSpan:
    """The span of a claim that runs."""

    def __init__(self, tracing: Tracing, collection: str, jobs: Sequence[Job], span: Span, *, is_child: bool) -> None:
        self._tracing = tracing
        self._collection = collection
        self._jobs = jobs
        self._span = span
        self._is_child = is_child
        self._began_ns = time.time_ns()

    def ended(self, receipts: Collection[Receipt]) -> None:
        """`receipts` stand, and are committed."""
        self._span.set_attributes(_outcomes(receipts))
        if self._is_child:
            return
        by_context: defaultdict[str, list[Job]] = defaultdict(list)
        known = {receipt.id: receipt for receipt in receipts}
        for job in self._jobs:
            if job.traceparent is not None and job.id in known:
                by_context[job.traceparent].append(job)
        link = [Link(self._span.get_span_context())]
        for traceparent, jobs in by_context.items():
            told = message_attributes("process", self._collection, jobs) | _outcomes([known[job.id] for job in jobs])
            self._tracing.tracer.start_span(
                f"end {self._collection}",
                context=context_of(traceparent),
                kind=SpanKind.CONSUMER,
                attributes=told,
                links=link,
                start_time=self._began_ns,
            ).end()

    def met(self, fault: Fault) -> None:
        self._span.add_event("fault", {"dibs.fault.class": fault.kind.name.lower(), "error.type": fault.code})

    def put_off(self, kind: str) -> None:
        tell_error(self._span, kind)


@contextmanager
def claim_span(tracing: Tracing, collection: str, jobs: Sequence[Job]) -> Iterator[ClaimSpan]:
    """Around a claim of `jobs`."""
    parents = list(dict.fromkeys(job.traceparent for job in jobs))
    is_child = len(parents) == 1 and parents[0] is not None
    contexts = [context_of(parent) for parent in parents if parent is not None]
    links = [Link(get_current_span(context).get_span_context()) for context in contexts]
    with tracing.tracer.start_as_current_span(
        f"process {collection}",
        context=contexts[0] if is_child else Context(),
        kind=SpanKind.CONSUMER,
        links=[] if is_child else [link for link in links if link.context.trace_flags.sampled],
        attributes=message_attributes("process", collection, jobs),
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield ClaimSpan(tracing, collection, jobs, span, is_child=is_child)


def _outcomes(receipts: Collection[Receipt]) -> dict[str, str | int]:
    """The outcome of one job, or how many ended how."""
    counts = Tally(receipt.status for receipt in receipts)
    if len(receipts) == 1:
        return {"dibs.outcome": next(iter(counts)).value}
    return {f"dibs.jobs.{status}": jobs for status, jobs in counts.items()}
