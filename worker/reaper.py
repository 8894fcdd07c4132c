"""A job that fell out of the queue without a receipt still gets one.

That happens when a batch outlived its time in the queue, or when its payload was deleted or damaged by hand.
Lost jobs become the oldest that wait, so looking at the oldest few finds them all in time.
"""

import asyncio
import logging

from shared.clock import utc_now
from shared.database import Sessions
from shared.problems import Kind, problem
from shared.queue import KEEP, Queue
from shared.redis import REDIS_FAULTS
from worker.batch import UNKNOWN_COLLECTION, Interrupted, fail_jobs, unknown_job
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

LOOK_AT = 100
EVERY_S = 30.0


async def reap_for_ever(queue: Queue, sessions: Sessions, metrics: WorkerMetrics, every_s: float = EVERY_S) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await reap(queue, sessions, metrics)
        except (*REDIS_FAULTS, Interrupted):
            log.debug("not reaped", exc_info=True)
        except Exception:
            log.exception("the search for lost jobs failed")


async def reap(queue: Queue, sessions: Sessions, metrics: WorkerMetrics) -> int:
    """Fail the lost among the longest waiting jobs; returns how many there were."""
    lost = 0
    for job_id, since, waiting in await queue.oldest(LOOK_AT):
        if waiting is not None:
            if await queue.holds(waiting.ticket.batch):
                continue
            collection, job, tries = waiting.ticket.collection, waiting.job(), waiting.tries
        elif since < utc_now() - KEEP:
            # Without its ticket nothing tells its batch, but by now no batch could hold it any more.
            collection, job, tries = UNKNOWN_COLLECTION, unknown_job(job_id, since), 0
        else:
            continue
        error = problem(Kind.LOST, "the job was no longer in the queue when a worker looked for it")
        receipts = await fail_jobs(sessions, collection, [job], error, tries=tries)
        metrics.ended(receipts.values())
        await queue.settle([receipts[job_id]])
        # It may just as well have ended while we looked: then its own receipt stands.
        if receipts[job_id].error == error:
            log.error("job %s was lost from the queue", job_id, extra={"job_id": str(job_id), "collection": collection})
            lost += 1
    return lost
