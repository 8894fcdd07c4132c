"""Around every call to a server: one that is away is a 503, and the log hears of it once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from api.problems import refuse
from shared.absence import Absence
from shared.faults import FaultClass, sort_fault
from shared.problems import Kind
from shared.redis import REDIS_FAULTS

log = logging.getLogger(__name__)

QUEUE_AWAY = (
    "the queue did not answer; nothing is promised, and with an Idempotency-Key it is safe to send the same again"
)


class AtHand:
    """The servers of one app, and what its requests have told of them."""

    def __init__(self) -> None:
        self._redis = Absence("Redis", log)
        self._database = Absence("the database", log)

    @contextmanager
    def queue(self) -> Iterator[None]:
        """Around a call to the queue: Redis away is a 503, and nothing was promised."""
        try:
            yield
        except REDIS_FAULTS as fault:
            self._redis.goes_on(type(fault).__name__)
            raise refuse(Kind.QUEUE_AWAY, QUEUE_AWAY) from fault
        else:
            self._redis.is_over()

    @contextmanager
    def database(self) -> Iterator[None]:
        """Around a call to the database: away is a 503."""
        try:
            yield
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            fault = sort_fault(error)
            if fault.kind in {FaultClass.OUTAGE, FaultClass.TIMEOUT, FaultClass.PASSING}:
                self._database.goes_on(fault.code)
            else:
                # A schema or a permission that is not as it should be is the operator's to mend, not the caller's.
                log.error("the database cannot be used: %s", fault.code)
            raise refuse(Kind.DATABASE_AWAY, "the database cannot be asked now") from error
        else:
            self._database.is_over()
