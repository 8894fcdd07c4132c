"""The records as one bulk: sent part by part from where an earlier run got to, and watched until all have ended.

The bulk's key comes from what the adds are. So the same file into the same collection is the same bulk, whoever
sends it again and whyever: what was taken in is not sent again, and what is sent twice is taken in once.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import httpx

from dibs.client import bulks
from dibs.client.answers import Bulk
from dibs.client.driving import Driver
from dibs.client.faces import DibsSync, blocking
from dibs.client.steps import Ask, Give, Step
from dibs.importing.records import Read, Record
from shared.contract import OUTCOMES, JobView, Status

LOOK_S = 0.5
"""How often the outcomes are counted, at most;"""
LOOK_SHARE = 0.1
"""and the share of the time that counting may take."""

STALLED_S = 60.0
"""How long nothing may end while no worker is alive."""


class Telling(Driver):
    """Calls `tell_away` when the server begins to be out of reach."""

    def __init__(self, http: httpx.Client, tell_away: Callable[[], None]) -> None:
        super().__init__(http)
        self._tell_away = tell_away
        self._is_away = False

    def _take(self, step: Step | Give[Any]) -> Any:
        came = super()._take(step)
        if isinstance(step, Ask):
            was_away, self._is_away = self._is_away, isinstance(came, httpx.TransportError)
            if self._is_away and not was_away:
                self._tell_away()
        return came


class Sender(DibsSync):
    """The client, with the parts of `add_many` one by one."""

    def __init__(self, url: str, *, key: str | None, patience: float, tell_away: Callable[[], None]) -> None:
        super().__init__(url, key=key, patience=patience)
        self._driver = Telling(self._driver.http, tell_away)

    send = blocking(bulks.send)
    count = blocking(bulks.count)
    results = blocking(bulks.results)


@dataclass(frozen=True)
class Content:
    """What is to be sent: how many records there are, and the key that they have as a bulk."""

    records: int
    key: str

    @classmethod
    def of(cls, read: Read, collection: str, salt: str) -> "Content":
        """Reads all records once; raises `FileFault`."""
        digest = hashlib.sha256(f"{salt}\0{collection}\0".encode())
        number = 0
        for number, record in enumerate(read(), 1):  # noqa: B007  # the last number counts
            digest.update(record.add + b"\n")
        return cls(number, f"import-{digest.hexdigest()}")


class Watcher(Protocol):
    """Who is told how it goes."""

    def began(self, total: int, taken: int, counts: Mapping[Status, int]) -> None: ...

    def went_on(self, taken: int, counts: Mapping[Status, int]) -> None: ...


class Stalled(Exception):  # noqa: N818
    """Nothing ends, for no worker is alive."""


class Upload:
    """One run of an import."""

    def __init__(self, dibs: Sender, collection: str, content: Content, watcher: Watcher) -> None:
        self._dibs = dibs
        self._collection = collection
        self._content = content
        self._watcher = watcher
        self._look_at = 0.0
        self.bulk = self._send([], after=0, more=True)
        """How far the bulk is; at first, how far an earlier run got."""
        self.counts: Counter[Status] = self._counted()
        self.begun_at = self.bulk.lines
        watcher.began(content.records, self.bulk.lines, self.counts)

    def send(self, read: Read, check: Callable[[], None]) -> None:
        """Send what was not taken in yet; `check` is asked before each part whether the records are still the same."""
        records, passed = read(), 0
        pace = bulks.Pace()
        while not self.bulk.complete:
            after = self.bulk.lines
            # Another run of the same import may have brought the bulk further: what it sent is passed over here too.
            part = _part(islice(records, after - passed, None), after, pace.lines)
            passed = after + len(part.lines)
            check()
            begun = time.monotonic()
            self.bulk = self._send(part.lines, after=after, more=passed < self._content.records)
            pace.took(time.monotonic() - begun)
            self._look()

    def wait(self) -> None:
        """Return when every job has ended; raises `Stalled`."""
        moved_at = time.monotonic()
        while (ended := self.counts.total()) < self._content.records:
            time.sleep(max(0.0, self._look_at - time.monotonic()))
            self._look()
            if self.counts.total() > ended:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > STALLED_S and not self._dibs.health().workers:
                raise Stalled(f"no worker has been alive for {STALLED_S:g} seconds")

    def results(self) -> Iterator[JobView | None]:
        """The jobs in the order of the records; None where nothing can be said of one."""
        for after in range(0, self.bulk.lines, bulks.PAGE):
            page = self._dibs.results(self.bulk.id, after=after, limit=bulks.PAGE)
            yield from page
            yield from [None] * (min(bulks.PAGE, self.bulk.lines - after) - len(page))

    def _send(self, lines: list[bytes], *, after: int, more: bool) -> Bulk:
        return self._dibs.send(self._collection, self._content.key, lines, after=after, more=more)

    def _look(self) -> None:
        begun = time.monotonic()
        if begun >= self._look_at:
            self.counts = self._counted()
            took_s = time.monotonic() - begun
            self._look_at = time.monotonic() + max(LOOK_S, took_s / LOOK_SHARE)
        self._watcher.went_on(self.bulk.lines, self.counts)

    def _counted(self) -> Counter[Status]:
        counts = self._dibs.count(self.bulk.id).counts or {}
        return Counter({status: count for status, count in counts.items() if status in OUTCOMES})


def _part(left: Iterator[Record], after: int, most: int) -> bulks.Part:
    part = bulks.Part(after, most)
    for record in left:
        if not part.take_line(record.add):
            break
    return part
