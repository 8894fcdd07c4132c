"""Indexes for lists of receipts by collection, and of those that did not succeed by collection or caller."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NOT_SUCCEEDED = sa.text("status <> 'succeeded'")
NOT_SUCCEEDED_OF_A_CALLER = sa.text("caller <> '' AND status <> 'succeeded'")


def upgrade() -> None:
    op.create_index("ix_receipts_collection_finished_at_id", "receipts", ["collection", "finished_at", "id"])
    op.create_index(
        "ix_receipts_collection_status_finished_at_id",
        "receipts",
        ["collection", "status", "finished_at", "id"],
        postgresql_where=NOT_SUCCEEDED,
        sqlite_where=NOT_SUCCEEDED,
    )
    op.create_index(
        "ix_receipts_caller_status_finished_at_id",
        "receipts",
        ["caller", "status", "finished_at", "id"],
        postgresql_where=NOT_SUCCEEDED_OF_A_CALLER,
        sqlite_where=NOT_SUCCEEDED_OF_A_CALLER,
    )


def downgrade() -> None:
    op.drop_index("ix_receipts_caller_status_finished_at_id", "receipts")
    op.drop_index("ix_receipts_collection_status_finished_at_id", "receipts")
    op.drop_index("ix_receipts_collection_finished_at_id", "receipts")
