"""One delivery of a batch as arq would make it, without arq."""

from collections.abc import Sequence
from typing import Any

from arq.constants import job_key_prefix

from shared.collections import Collection
from shared.contract import Job
from shared.payload import load_payload
from worker.hands import Hands
from worker.main import add


async def enqueue(hands: Hands, collection: Collection, jobs: Sequence[Job]) -> str:
    """The id of the batch that `jobs` became."""
    [submitted, *_] = jobs
    await hands.queue.submit(collection.name, jobs)
    waiting = await hands.queue.look(submitted.id)
    assert waiting
    return str(waiting.ticket.batch)


async def payload_of(hands: Hands, batch: str) -> Any:
    stored = await hands.queue.redis.get(job_key_prefix + batch)
    return load_payload(stored)["a"][0]


async def deliver(hands: Hands, batch: str, *, delivery: int = 1) -> dict[str, int]:
    """The worker's function on what Redis holds for `batch`; `delivery` counts from 1."""
    return await add({"hands": hands, "job_id": batch, "job_try": delivery}, await payload_of(hands, batch))
