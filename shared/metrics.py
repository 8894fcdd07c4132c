"""What one process counts, and the form in which Prometheus reads it.

There is no registry of the module's: each entrypoint makes a `Metrics` and passes it down, to the api and to the
worker alike where both live in one process.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder

from shared.contract import OUTCOMES, Status

UNKNOWN = "unknown"
"""In the place of a collection that this process does not know: what stands in the queue makes no new label."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets for what takes milliseconds on a good day."""
LONG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)
"""Buckets for what lasts as long as an outage."""
JOBS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Distribution(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, amounts: Iterable[float]) -> None:
        """As `observe` for each of `amounts`, for an eighth of the time: a claim ends hundreds of jobs."""
        observed = [*amounts]
        for bucket, times in Tally(map(partial(bisect_left, self._upper_bounds), observed)).items():
            self._buckets[bucket].inc(times)
        self._sum.inc(sum(observed))


class Metrics:
    """The registry of one process, and what api and worker count alike: the jobs that ended there."""

    def __init__(self, collections: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self.collections = (*collections, UNKNOWN)
        ProcessCollector(registry=self.registry)
        jobs = Counter(
            "dibs_jobs_total",
            "Jobs that ended, by outcome, counted where their receipt was written.",
            ["collection", "outcome"],
            registry=self.registry,
        )
        # All of them from the start: a rate is right only if it saw the zero.
        self._jobs = {
            (name, status): jobs.labels(name, status.value) for name in self.collections for status in sorted(OUTCOMES)
        }

    def known(self, collection: str) -> str:
        """`collection` as a label."""
        return collection if collection in self.collections else UNKNOWN

    def ended(self, collection: str, outcome: Status, jobs: int = 1) -> None:
        self._jobs[self.known(collection), outcome].inc(jobs)

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """Everything counted, and its media type: Prometheus' text, or OpenMetrics where `accept` asks for it."""
        encode, media_type = choose_encoder(accept)
        return encode(_Tidy(self.registry)), media_type


class _Tidy:
    """`registry` without the time of birth of each series, which would double their number."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
