"""The tables that dibs brings along: the first collection, the receipts and the API keys."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Names every constraint, so that an error or a migration can speak of it."""

    metadata = MetaData(naming_convention=NAMING)


MAX_CALLER = 64


def _index(*columns: str, where: str) -> Index:
    """An index of the rows for which `where` holds."""
    return Index(None, *columns, postgresql_where=text(where), sqlite_where=text(where))


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database; SQLite has no time zones and would drop ours."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Animal(Base):
    """The first collection and the default one."""

    __tablename__ = "animals"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))


class ReceiptRow(Base):
    """What became of a job. Written once, in the transaction that also writes the job's row, and never changed."""

    __tablename__ = "receipts"
    __table_args__ = (
        CheckConstraint("status IN ('succeeded', 'exhausted', 'failed', 'cancelled')", name="status"),
        Index(None, "finished_at", "id"),
        Index(None, "collection", "finished_at", "id"),
        _index("status", "finished_at", "id", where="status <> 'succeeded'"),
        _index("collection", "status", "finished_at", "id", where="status <> 'succeeded'"),
        _index("caller", "finished_at", "id", where="caller <> ''"),
        _index("caller", "status", "finished_at", "id", where="caller <> '' AND status <> 'succeeded'"),
        _index("bulk", "line", where="bulk IS NOT NULL"),
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    caller: Mapped[str] = mapped_column(String(MAX_CALLER), server_default="")
    collection: Mapped[str] = mapped_column(String(63))
    status: Mapped[str] = mapped_column(String(16))
    fingerprint: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Candidates and values, as the job had them; null for a line of a bulk that was no add."""
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    choice: Mapped[int | None]
    tries: Mapped[int]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    bulk: Mapped[UUID | None] = mapped_column(Uuid)
    line: Mapped[int | None]
    retry_of: Mapped[UUID | None] = mapped_column(Uuid)
    submitted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime] = mapped_column(UtcDateTime)


class KeyRow(Base):
    """An API key, as its hash. Never deleted: as long as there is one, even a revoked one, the door is not open."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(10), primary_key=True)
    caller: Mapped[str] = mapped_column(String(MAX_CALLER))
    hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the whole key, in hex."""
    scopes: Mapped[str] = mapped_column(String(64))
    """Separated by spaces."""
    rate: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
