"""arq tuned: twenty jobs at a time, and a look at the queue every 10 ms."""

from tests.benchmarks.rivals.arq_rival import TUNED, Arq


def rival() -> Arq:
    return Arq(TUNED)
