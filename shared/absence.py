"""A server that is away: told once when it goes and once when it is back, however many meet it meanwhile."""

import logging


class Absence:
    """What one part of a process has told of one server."""

    def __init__(self, server: str, log: logging.Logger) -> None:
        self._server = server
        self._log = log
        self.goes_on = False

    def begins(self, why: str) -> None:
        if not self.goes_on:
            self.goes_on = True
            self._log.warning("%s is away (%s); waiting for it", self._server, why)

    def ends(self) -> None:
        if self.goes_on:
            self.goes_on = False
            self._log.warning("%s is back", self._server)
