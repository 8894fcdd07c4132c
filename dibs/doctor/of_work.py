"""The work: is somebody there to do it, and do they keep up."""

from dibs.doctor.findings import Finding, fail, ok, warn
from shared.queue import Queue

NEARLY_FULL = 0.8
OLD_S = 60.0


async def examine(queue: Queue) -> list[Finding]:
    """The workers that live, and the queue before them."""
    workers, depth, oldest_s = await queue.workers(), await queue.depth(), await queue.oldest_age_s()
    found = [
        ok("workers", f"{len(workers)}: {', '.join(worker.name for worker in workers)}")
        if workers
        else fail("workers", "none is alive: adds are taken in and wait", "start `dibs worker`, or `dibs serve`")
    ]
    seen = f"{depth:,} jobs wait, of {queue.limit:,} that may"
    if oldest_s is not None:
        seen += f"; the oldest for {oldest_s:,.1f} s"
    if depth >= queue.limit:
        found.append(fail("queue", seen, "start more workers: submits are answered with 503"))
    elif depth > NEARLY_FULL * queue.limit or (oldest_s or 0) > OLD_S:
        found.append(warn("queue", seen, "see by `dibs top` whether it gets less; if not, start more workers"))
    else:
        found.append(ok("queue", seen))
    return found
