"""Indexes for lists of receipts by collection, and of those that did not succeed by collection or caller."""

from alembic import op

from shared.online import create_index

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NOT_SUCCEEDED = "status <> 'succeeded'"


def upgrade() -> None:
    create_index("ix_receipts_collection_finished_at_id", "receipts", ["collection", "finished_at", "id"])
    for column, where in (("collection", NOT_SUCCEEDED), ("caller", f"caller <> '' AND {NOT_SUCCEEDED}")):
        name = f"ix_receipts_{column}_status_finished_at_id"
        create_index(name, "receipts", [column, "status", "finished_at", "id"], where=where)


def downgrade() -> None:
    op.drop_index("ix_receipts_caller_status_finished_at_id", "receipts")
    op.drop_index("ix_receipts_collection_status_finished_at_id", "receipts")
    op.drop_index("ix_receipts_collection_finished_at_id", "receipts")
