"""The keys as this process last read them: a request is checked in memory, and goes on while the database is away."""

import asyncio
import hmac
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from api.callers import Caller
from shared.database import Database
from shared.faults import sort_fault
from shared.keys import Key, hash_of, id_in, is_well_formed, read_keys
from shared.settings import Settings

log = logging.getLogger(__name__)

READ_S = 5.0
"""How long a reading of the keys may take."""

LOOK_AGAIN_S = 0.5
"""The shortest time between two readings, however many unknown keys come."""


class State(Enum):
    UNREAD = auto()
    """The keys were never read: nobody can be let in, for there may be keys."""
    OPEN = auto()
    """No key was ever made: the door is open to this machine."""
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class _Held:
    hash: bytes
    expires_at_s: float
    caller: Caller


class Keyring:
    """Knows the caller of each key. A key that is made works at once; a revoked one at most until the next reading."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._refresh_s = settings.keys_refresh_s
        self._rate = settings.rate_limit
        self._held: dict[bytes, _Held] = {}
        self._turn = asyncio.Lock()
        self._begun_s = -LOOK_AGAIN_S
        self._is_stale = False
        self.state = State.UNREAD

    def find(self, key: bytes) -> Caller | None:
        """The caller that `key` speaks for; None if it is unknown, expired or revoked."""
        held = self._held.get(id_in(key) or b"")
        if held is None or not hmac.compare_digest(held.hash, hash_of(key)) or time.time() >= held.expires_at_s:
            return None
        return held.caller

    async def look_again(self, key: bytes) -> Caller | None:
        """As `find`, after reading the keys once more if `key` may be one that was made since."""
        arrived_s = time.monotonic()
        # While the keys cannot be read there is no use in asking more often than the loop does.
        if not is_well_formed(key) or self._is_stale or id_in(key) in self._held:
            return self.find(key)
        async with self._turn:
            if self._begun_s < arrived_s:
                await asyncio.sleep(self._begun_s + LOOK_AGAIN_S - time.monotonic())
                await self._read()
        return self.find(key)

    async def refresh(self) -> None:
        """Read the keys; where that is not possible, say so in the log and go on with the last ones."""
        async with self._turn:
            await self._read()

    async def refresh_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s if self.state is not State.UNREAD else LOOK_AGAIN_S)
            await self.refresh()

    async def _read(self) -> None:
        self._begun_s = time.monotonic()
        try:
            async with asyncio.timeout(READ_S), self._database.reads() as session:
                keys = await read_keys(session)
        except Exception as error:  # noqa: BLE001  # whatever it was, the last keys go on
            if not self._is_stale:
                unread = self.state is State.UNREAD
                then = "nobody is let in until they can be" if unread else "the last ones go on"
                log.warning("the API keys cannot be read (%s): %s", sort_fault(error).code, then)
            self._is_stale = True
            return
        if self._is_stale:
            log.info("the API keys can be read again")
        self._is_stale = False
        self._hold(keys)

    def _hold(self, keys: Iterable[Key]) -> None:
        self._held = {key.id.encode(): self._holding(key) for key in keys}
        # Once closed for good: a database that was put back to an older state must not open the door.
        if self._held:
            self.state = State.CLOSED
        elif self.state is State.UNREAD:
            self.state = State.OPEN

    def _holding(self, key: Key) -> _Held:
        """Revoked ones too: one that is known to be revoked is not looked for again."""
        expires_at_s = float("inf") if key.expires_at is None else key.expires_at.timestamp()
        if key.revoked_at is not None:
            expires_at_s = 0.0
        return _Held(key.hash, expires_at_s, Caller(key.caller, key.scopes, key.id, key.rate or self._rate))
