"""`dibs migrate`: bring a database to the schema, and say what that was; and the look at it of whoever starts."""

import logging
from collections.abc import Sequence

from sqlalchemy import Connection, Table, inspect

from dibs.errors import StartError
from dibs.logs import name_of
from shared.database import Database, open_database
from shared.faults import FaultClass, sort_fault
from shared.migrate import head, is_current, migrate
from shared.registry import load_collections
from shared.settings import Settings

log = logging.getLogger(__name__)


async def bring_up_to_date(settings: Settings) -> str:
    """Migrate, and return one line that says what was done; raises `StartError`."""
    tables = [collection.table for collection in load_collections(settings.models).values()]
    url = settings.database_url or settings.embedded_database_url
    database = open_database(url, pool_size=1)
    try:
        if settings.database_url is None:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        was_current, before = await is_current(database.reader), await _tables(database)
        await migrate(url, tables)
        created = sorted(await _tables(database) - before)
    except Exception as error:
        fault = sort_fault(error)
        raise StartError(f"{name_of(url)} cannot be migrated: {fault.code}: {fault.detail}") from error
    finally:
        await database.close()
    state = f"{name_of(url)} is at revision {head()}"
    if created:
        return f"{state}; created {', '.join(created)}"
    return f"{state}, as it was" if was_current else f"{state} now"


async def _tables(database: Database) -> set[str]:
    def names(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())

    async with database.reader.connect() as connection:
        return await connection.run_sync(names)


async def check_schema(database: Database, name: str, tables: Sequence[Table]) -> None:
    """Raises `StartError` where `database`, called `name`, cannot serve this code. One that is away may come back."""
    try:
        current = await is_current(database.reader, tables)
    except Exception as error:
        fault = sort_fault(error)
        if fault.kind not in {FaultClass.OUTAGE, FaultClass.TIMEOUT, FaultClass.PASSING}:
            raise StartError(f"{name} cannot be used: {fault.code}: {fault.detail}") from error
        log.warning("%s does not answer (%s): adds are taken in and wait for it", name, fault.code)
        return
    if not current:
        raise StartError(f"{name} lacks tables or columns that this dibs needs: run `dibs migrate` first")
    log.info("database: %s", name)
