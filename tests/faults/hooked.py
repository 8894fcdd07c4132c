"""An application's models with hooks: whatever these raise or do, the worker goes on."""

import os
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, String, TypeDecorator, UniqueConstraint, event
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PAGES = "TEST_PAGES"
"""Names a file that says how many pages an SQLite database may have."""


class Base(DeclarativeBase):
    pass


class Moody(TypeDecorator[str]):
    """Text that it does not always like."""

    impl = String(50)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        match value:
            case "error":
                raise RuntimeError("the hook is out of order")
            case "exit":
                sys.exit("the hook wants to go home")
        return value


class Nickname(Base):
    __tablename__ = "nicknames"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    mood: Mapped[str] = mapped_column(Moody)


if PAGES in os.environ:

    @event.listens_for(Engine, "begin")
    def _limit(connection: Connection) -> None:
        pages = int(Path(os.environ[PAGES]).read_text())
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
