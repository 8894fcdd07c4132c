"""A job that fell out of the queue without a receipt still gets one.

That happens when a batch outlived its time in the queue, or when its payload was deleted or damaged by hand.
Lost jobs become the oldest that wait, so looking at the oldest few finds them all in time.
"""

import asyncio
import logging

from shared.database import Sessions
from shared.problems import Kind, problem
from shared.queue import REDIS_FAULTS, Queue, Waiting
from worker.batch import Interrupted, fail_jobs

log = logging.getLogger(__name__)

LOOK_AT = 100
EVERY_S = 30.0


async def reap_for_ever(queue: Queue, sessions: Sessions, every_s: float = EVERY_S) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await reap(queue, sessions)
        except (*REDIS_FAULTS, Interrupted):
            log.debug("not reaped", exc_info=True)


async def reap(queue: Queue, sessions: Sessions) -> int:
    """Fail the lost among the longest waiting jobs; returns how many there were."""
    lost = 0
    for waiting in await queue.oldest(LOOK_AT):
        if not isinstance(waiting, Waiting):
            log.error("job %s was lost with its ticket; nothing is known of it", waiting)
            await queue.settle([waiting])
        elif not await queue.holds(waiting.ticket.batch):
            error = problem(Kind.LOST, "the job was no longer in the queue when a worker looked for it")
            collection, tries = waiting.ticket.collection, waiting.tries
            receipts = await fail_jobs(sessions, collection, [waiting.job()], error, tries=tries)
            await queue.settle([waiting.id])
            # It may just as well have ended while we looked: then its own receipt stands.
            if receipts[waiting.id].error == error:
                log.error("job %s was lost from the queue", waiting.id)
                lost += 1
    return lost
