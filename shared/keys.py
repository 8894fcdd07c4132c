"""API keys: what one looks like, and the table of those that were made. The keys themselves are kept nowhere.

A key is `dibs_{id}_{secret}{checksum}`. The id is public. The secret has 190 random bits, so its SHA-256 is as
good as a slow hash: those make guesses dear, and of these nobody guesses one in the life of the universe, while a
slow hash would have to be paid for with each request. The checksum (CRC-32) tells a mistyped key, or a text that
only looks like a key, without asking anybody.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import utc_now
from shared.models import MAX_CALLER, KeyRow
from shared.rates import Rate
from shared.scopes import Scope

ID_ALPHABET = string.digits + string.ascii_lowercase
SECRET_ALPHABET = string.digits + string.ascii_letters
ID_LENGTH = 10
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6

PREFIX = "dibs_"
ID_END = len(PREFIX) + ID_LENGTH
KEY_LENGTH = ID_END + 1 + SECRET_LENGTH + CHECKSUM_LENGTH

NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@:-]{{0,{MAX_CALLER - 1}}}")
"""What a caller may be called."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the table has it. `hash` is the SHA-256 of the whole key; `rate` stands before the setting's."""

    id: str
    caller: str
    hash: bytes
    scopes: frozenset[Scope]
    rate: Rate | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def works_at(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def hash_of(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def id_in(key: bytes) -> bytes | None:
    """The id that `key` names; None where it does not have the form of a key. The checksum is not looked at."""
    has_form = len(key) == KEY_LENGTH and key.startswith(PREFIX.encode()) and key[ID_END] == ord("_")
    return key[len(PREFIX) : ID_END] if has_form else None


def is_well_formed(key: bytes) -> bool:
    """Whether `key` may have been made by dibs: its form and its checksum are right."""
    return id_in(key) is not None and key[-CHECKSUM_LENGTH:] == _checksum(key[:-CHECKSUM_LENGTH])


def _checksum(text: bytes) -> bytes:
    number = zlib.crc32(text)
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(SECRET_ALPHABET))
        digits.append(SECRET_ALPHABET[digit])
    return "".join(reversed(digits)).encode()


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


async def create_key(
    session: AsyncSession,
    caller: str,
    scopes: Iterable[Scope],
    *,
    expires_at: datetime | None = None,
    rate: Rate | None = None,
) -> tuple[str, Key]:
    """Make a key that speaks for `caller`. The first of the two is the key itself, which nobody can tell again."""
    id_ = _random(ID_ALPHABET, ID_LENGTH)
    text = f"{PREFIX}{id_}_{_random(SECRET_ALPHABET, SECRET_LENGTH)}"
    text += _checksum(text.encode()).decode()
    made = Key(id_, caller, hash_of(text.encode()), frozenset(scopes), rate, utc_now(), expires_at, None)
    session.add(
        KeyRow(
            id=made.id,
            caller=made.caller,
            hash=made.hash.hex(),
            scopes=" ".join(sorted(made.scopes)),
            rate=str(rate) if rate else None,
            created_at=made.created_at,
            expires_at=made.expires_at,
        )
    )
    await session.flush()
    return text, made


async def read_keys(session: AsyncSession) -> list[Key]:
    """Every key that was ever made, the oldest first."""
    rows = await session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id))
    return [_from_row(row) for row in rows]


async def revoke_key(session: AsyncSession, id_: str) -> Key | None:
    """Let the key `id_` work no more, and return it; None where there is none. Once revoked, its time stays."""
    await session.execute(
        update(KeyRow).where(KeyRow.id == id_, KeyRow.revoked_at.is_(None)).values(revoked_at=utc_now())
    )
    row = await session.scalar(select(KeyRow).where(KeyRow.id == id_))
    return None if row is None else _from_row(row)


def _from_row(row: KeyRow) -> Key:
    return Key(
        id=row.id,
        caller=row.caller,
        hash=bytes.fromhex(row.hash),
        # What a later version calls a scope allows nothing here.
        scopes=frozenset(Scope(scope) for scope in row.scopes.split() if scope in set(Scope)),
        rate=Rate.parse(row.rate) if row.rate else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
