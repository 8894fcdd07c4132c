"""Alembic runs this; `shared.migrate` hands it the connection."""

from alembic import context

from shared.migrate import VERSION_TABLE
from shared.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=True,  # an index that is built beside the writers ends a transaction
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
