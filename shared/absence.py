"""A server that is away: told once when it goes and once when it is back, however many meet it meanwhile."""

import logging
import math
import time
from collections.abc import Callable

SAME_S = 5.0
"""An absence that begins so soon after the last one is the same: who asked before its end hears of it after it."""


class Absence:
    """What one part of a process has told of one server."""

    def __init__(self, server: str, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._log = log
        self._clock = clock
        self._back_at = -math.inf
        self.is_told = False

    def goes_on(self, why: str) -> None:
        if not self.is_told and self._clock() - self._back_at > SAME_S:
            self.is_told = True
            self._log.warning("%s is away (%s); waiting for it", self._server, why)

    def is_over(self) -> None:
        if self.is_told:
            self.is_told = False
            self._back_at = self._clock()
            self._log.warning("%s is back", self._server)
