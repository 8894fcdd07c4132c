"""Models as an adopter of dibs has them: another base, a key of two columns, and every way to be refused."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKey,
    MetaData,
    Numeric,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


class Tenant(Base):
    """The parent of a handle; its primary key would make it a collection."""

    __tablename__ = "tenants"
    __dibs_key__ = None

    name: Mapped[str] = mapped_column(String(50), primary_key=True)


class Handle(Base):
    """A handle is unique within its tenant."""

    __tablename__ = "handles"
    __table_args__ = (
        UniqueConstraint("tenant", "handle"),
        UniqueConstraint("email"),
        CheckConstraint("plan IN ('free', 'paid')", name="plan"),
    )
    __dibs_key__ = ("tenant", "handle")

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(String(50), ForeignKey("tenants.name"))
    handle: Mapped[str] = mapped_column(String(40))
    owner: Mapped[str] = mapped_column(String(50))
    plan: Mapped[str] = mapped_column(String(10), server_default="free")
    email: Mapped[str | None] = mapped_column(String(120))
    fee: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    starts_on: Mapped[date | None] = mapped_column(Date)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    tags: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
