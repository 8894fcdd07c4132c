"""uvicorn's HTTP/1.1 with what it lacks: bounds on URL and headers, time limits for them, and errors as problems.

uvicorn 0.54 takes headers of any size, waits for them for ever, adds the trailers of a chunked body to the headers
of a request that is already answered, reads on without end after an early answer, and says 400 in plain text.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.requests import WHOLE
from shared.encoding import encode
from shared.problems import MEDIA_TYPE, Kind, Problem, problem
from shared.settings import Settings

MAX_PIPELINED = 100
"""Requests that a connection may have sent ahead of its answers."""


@dataclass(frozen=True)
class Bounds:
    """What a request may bring before its body, and how long it may take for it."""

    url_bytes: int
    header_bytes: int
    headers: int
    timeout_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        return cls(settings.max_url_bytes, settings.max_header_bytes, settings.max_headers, settings.header_timeout_s)


class _PastBound(Exception):  # noqa: N818
    """Ends the parsing; the parser lets whoever feeds it know."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Between its requests nothing is due; from the first byte of one, its headers are."""

    def __init__(self, *given: Any, bounds: Bounds, **named: Any) -> None:
        super().__init__(*given, **named)
        self._bounds = bounds
        self._refusal: Problem | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        """Part of a request line has come."""
        self._in_body = False
        """The headers are complete and the message is not."""
        self._messages = 0
        """That began in the data which is being parsed."""
        self._header_bytes = 0
        self._header_count = 0
        self._unparsed_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        follows_a_body, self._messages = self._in_body, 0
        super().data_received(data)
        if self._begun or not (self._in_body or self._is_answering):
            # Most requests come whole and need no timer. Even bytes that belong to no request, such as an empty line,
            # have ended the wait for a next one.
            self._arm()
        if self._begun and not self._messages + follows_a_body > 1:
            # The parser keeps a header to itself until it is whole; so what it was fed is counted as well.
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > self._bounds.url_bytes + self._bounds.header_bytes:
                self._refusal = self._too_large()
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._begun, self._in_body = True, False
        self._header_bytes = self._header_count = self._unparsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._bounds.url_bytes:
            self._refuse(problem(Kind.URL_TOO_LONG, f"path and query may have {self._bounds.url_bytes} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        self._header_count += 1
        if self._header_bytes > self._bounds.header_bytes or self._header_count > self._bounds.headers:
            self._refuse(self._too_large())
        if not self._in_body:  # else it is a trailer, which nobody here reads
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._disarm()
        self._begun, self._in_body = False, True
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

    def on_message_complete(self) -> None:
        self._in_body = False
        self.scope[WHOLE] = True  # type: ignore[literal-required]  # a key of our own
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete:
            # Answered before its body came, which is read and thrown away, but not for ever.
            self._arm()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn says the same of everything
        """Answer what reaches no route, as a problem, and close. In the middle of an answer, only close."""
        refusal = self._refusal or problem(Kind.MALFORMED, "this is no HTTP/1.1 request, or not a valid one")
        assert refusal.status is not None
        if not self._is_answering or not self.cycle.response_started:
            body = encode(refusal.at(self.root_path))
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[refusal.status] + head.encode() + body)
        self._disarm()
        self.transport.close()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, refusal: Problem) -> None:
        self._refusal = refusal
        raise _PastBound

    def _too_large(self) -> Problem:
        bounds = self._bounds
        return problem(
            Kind.HEADERS_TOO_LARGE, f"a request may have {bounds.headers} headers with {bounds.header_bytes} bytes"
        )

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._bounds.timeout_s, self._too_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self._is_answering:
            # An earlier request of this connection is still being answered.
            self._arm()
        elif self._begun:
            within = f"{self._bounds.timeout_s:g} s"
            self._refusal = problem(Kind.TOO_SLOW, f"the headers did not come within {within}")
            self.send_400_response("")
        else:
            self.transport.close()
