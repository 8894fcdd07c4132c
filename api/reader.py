"""Looks jobs up, many in one go: those that are asked for while a look is under way go together in the next."""

import asyncio
from collections.abc import Iterable, Sequence
from uuid import UUID

from api.at_hand import AtHand
from api.problems import ProblemError
from api.together import Together
from shared.database import Database
from shared.queue import Queue
from shared.receipts import Receipt, read_receipts
from shared.tickets import Waiting

LOOK_TOGETHER = 500
"""Jobs that are looked up in one go: while more of them are, the first are answered already."""

READ_S = 3.0
"""How long the database may take for it, with everybody else waiting: one that hangs is as good as away."""

Found = Receipt | Waiting


class Reader:
    """Reads jobs for all requests of one process, over one connection to each server at a time.

    Receipts come without their content.
    """

    def __init__(self, database: Database, queue: Queue, at_hand: AtHand) -> None:
        self._database = database
        self._queue = queue
        self._at_hand = at_hand
        self._together: Together[UUID, Found | None] = Together("look", self.look_at, most=LOOK_TOGETHER)

    async def look(self, job: UUID) -> Found | None:
        """Where the job stands now, or None; raises the `ProblemError` that keeps that from being known."""
        return await self._together.get(job)

    async def look_at(self, jobs: Sequence[UUID]) -> list[Found | Exception | None]:
        """For each of `jobs` its receipt, else what Redis knows, else its receipt, for it may have just ended.

        A server that is away is a `ProblemError` in the place of those jobs that only it could tell of.
        """
        known: dict[UUID, Found | Exception] = {}
        database_away: ProblemError | None = None
        try:
            known |= await self.receipts(jobs)
        except ProblemError as away:
            database_away = away
        if left := [job for job in jobs if job not in known]:
            try:
                with self._at_hand.queue():
                    known |= await self._queue.look_at(left)
                if ended := [job for job in left if job not in known]:
                    if database_away is not None:
                        raise database_away
                    known |= await self.receipts(ended)
            except ProblemError as away:
                known |= {job: away for job in left if job not in known}
        return [known.get(job) for job in jobs]

    async def receipts(self, jobs: Iterable[UUID]) -> dict[UUID, Receipt]:
        """The receipts that there are, by id."""
        with self._at_hand.database():
            async with asyncio.timeout(READ_S), self._database.reads() as session:
                return await read_receipts(session, jobs, whole=False)

    async def close(self) -> None:
        await self._together.close()
