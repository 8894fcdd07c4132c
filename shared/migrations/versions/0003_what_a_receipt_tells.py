"""Whose job a receipt is of, what the job was, and which one it repeats."""

import sqlalchemy as sa
from alembic import op

from shared.online import add_column, create_index

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    caller = sa.Column("caller", sa.String(64), nullable=False, server_default="")
    add_column("receipts", caller)
    add_column("receipts", sa.Column("content", sa.JSON(), nullable=True))
    add_column("receipts", sa.Column("retry_of", sa.Uuid(), nullable=True))
    for column, where in (("status", "status <> 'succeeded'"), ("caller", "caller <> ''")):
        name = f"ix_receipts_{column}_finished_at_id"
        create_index(name, "receipts", [column, "finished_at", "id"], where=where)


def downgrade() -> None:
    op.drop_index("ix_receipts_caller_finished_at_id", "receipts")
    op.drop_index("ix_receipts_status_finished_at_id", "receipts")
    op.drop_column("receipts", "retry_of")
    op.drop_column("receipts", "content")
    op.drop_column("receipts", "caller")
