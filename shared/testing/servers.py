"""What a session of tests has one of: a server of PostgreSQL, a loop backstage, a directory, and its templates."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import URL, make_url

from shared.testing.backstage import Backstage
from shared.testing.postgres_server import PrivatePostgres
from shared.testing.templates import Migrate, Templates

DRIVER = "postgresql+asyncpg"


class Servers:
    """Starts what is asked for when it is first asked for, and stops it in `close`.

    Without a `postgres_url` a private cluster is started; the test that asks for it is skipped where there are no
    programs for it.
    """

    def __init__(self, directory: Path, postgres_url: str | None = None) -> None:
        self.directory = directory
        self._given_url = postgres_url
        self._templates: dict[Migrate, Templates] = {}
        self.stack = ExitStack()
        self.backstage = self.stack.enter_context(_opened_backstage())

    def close(self) -> None:
        self.stack.close()

    def templates(self, migrate: Migrate) -> Templates:
        """Those that `migrate` makes: each callable is called once for each database."""
        if migrate not in self._templates:
            self._templates[migrate] = Templates(self, migrate)
        return self._templates[migrate]

    @cached_property
    def postgres(self) -> PrivatePostgres:
        """The private cluster of this session. Who stops it takes it away from all tests that follow."""
        return self.stack.enter_context(PrivatePostgres())

    @cached_property
    def postgres_url(self) -> URL:
        """A database of the server from which others can be created."""
        return make_url(self._given_url or self.postgres.url()).set(drivername=DRIVER)

    @cached_property
    def has_copy_strategies(self) -> bool:
        return bool(self._admin.get_server_version() >= (15,))

    def sql(self, statement: str) -> None:
        """Run `statement` on the server, outside of any transaction."""
        self.backstage.run(self._admin.execute(statement))

    @cached_property
    def _admin(self) -> Any:
        dsn = self.postgres_url.set(drivername="postgresql").render_as_string(hide_password=False)
        admin = self.backstage.run(_connected(dsn))
        self.stack.callback(lambda: self.backstage.run(admin.close()))
        return admin


async def _connected(dsn: str) -> Any:
    return await asyncpg.connect(dsn)


@contextmanager
def _opened_backstage() -> Iterator[Backstage]:
    backstage = Backstage()
    try:
        yield backstage
    finally:
        backstage.close()
