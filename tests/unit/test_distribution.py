"""Counting a whole claim at once gives what counting job by job gives."""

from prometheus_client import CollectorRegistry, generate_latest

from shared.metrics import SECONDS, Distribution

AMOUNTS = [0.0, 0.001, 0.0011, 0.3, 59.9, 60.0, 61.0, 1e6, 0.3]


def test_many_observations_at_once_are_as_one_by_one() -> None:
    texts = []
    for at_once in (True, False):
        registry = CollectorRegistry()
        histogram = Distribution("test_seconds", "Some.", ["kind"], buckets=SECONDS, registry=registry).labels("a")
        if at_once:
            histogram.observe_all(AMOUNTS)
        else:
            for amount in AMOUNTS:
                histogram.observe(amount)
        texts.append([line for line in generate_latest(registry).decode().splitlines() if "_created" not in line])
    assert texts[0] == texts[1]
    assert f'test_seconds_count{{kind="a"}} {float(len(AMOUNTS))}' in texts[0]
