"""What the api counts. One method for each event; the labels of the hot path are looked up once."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prometheus_client import Counter, Gauge, Histogram

from shared.contract import Status
from shared.metrics import JOBS, SECONDS, Metrics

ACCEPTED, REPEATED = "accepted", "repeated"

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

OTHER, NO_ROUTE = "other", "none"
"""In the place of a method and of a path that nobody serves."""

waited_s: ContextVar[float] = ContextVar("waited_s", default=0.0)
"""For how long the request at hand was held because its caller asked for that."""


class ApiMetrics:
    """Counts into `metrics`; nothing that a caller wrote becomes a label."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        registry = metrics.registry
        self._submits = Counter(
            "dibs_submits_total",
            "Adds that were submitted, alone or as lines of a bulk, by answer: accepted into the queue, repeated for "
            "one that was known by its id or key, or the last part of the problem's type.",
            ["collection", "answer"],
            registry=registry,
        )
        self._by_answer = {
            (name, answer): self._submits.labels(name, answer)
            for name in metrics.collections
            for answer in (ACCEPTED, REPEATED)
        }
        self._requests = Histogram(
            "dibs_http_request_seconds",
            "Time from a request until its answer begins, without the time that Prefer: wait asked for.",
            ["method", "route", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        self._by_request: dict[tuple[str, str, int], Histogram] = {}
        self._group = Histogram(
            "dibs_group_jobs", "Submits that left for Redis together.", buckets=JOBS, registry=registry
        )
        self._enqueue = Histogram(
            "dibs_enqueue_seconds",
            "Time of one write into the queue, which is confirmed by Redis.",
            buckets=SECONDS,
            registry=registry,
        )
        waits = Histogram(
            "dibs_wait_seconds",
            "Time for which Prefer: wait held a request, by whether its job or bulk ended within it.",
            ["ended"],
            buckets=SECONDS,
            registry=registry,
        )
        self._waits = {ended: waits.labels(str(ended).lower()) for ended in (False, True)}
        self._open_waits = Gauge("dibs_open_waits", "Requests that wait for a job now.", registry=registry)

    def submitted(self, collection: str, *, accepted: int = 0, repeated: int = 0) -> None:
        for answer, submits in ((ACCEPTED, accepted), (REPEATED, repeated)):
            if submits:
                self._by_answer[collection, answer].inc(submits)

    def refused(self, collection: str, kind: str, submits: int = 1) -> None:
        self._submits.labels(collection, kind).inc(submits)

    def answered(self, method: str, route: str | None, status: int, took_s: float) -> None:
        key = (method if method in METHODS else OTHER, route or NO_ROUTE, status)
        child = self._by_request.get(key)
        if child is None:
            child = self._by_request[key] = self._requests.labels(key[0], key[1], str(status))
        child.observe(took_s)

    def enqueued(self, jobs: int, took_s: float) -> None:
        self._group.observe(jobs)
        self._enqueue.observe(took_s)

    @contextmanager
    def waiting(self) -> Iterator[Callable[[], None]]:
        """Around a wait that a caller asked for; what is given is called when that came to its end in time."""
        began_s, has_ended = time.perf_counter(), False

        def ended() -> None:
            nonlocal has_ended
            has_ended = True

        try:
            yield ended
        finally:
            took_s = time.perf_counter() - began_s
            waited_s.set(waited_s.get() + took_s)
            self._waits[has_ended].observe(took_s)

    def count_open_waits(self, how_many: Callable[[], int]) -> None:
        """Ask `how_many` at each scrape."""
        self._open_waits.set_function(lambda: float(how_many()))

    def cancelled(self, collection: str) -> None:
        self._metrics.ended(collection, Status.CANCELLED)
