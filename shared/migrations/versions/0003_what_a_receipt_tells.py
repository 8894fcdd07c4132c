"""Whose job a receipt is of, what the job was, and which one it repeats."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NOT_SUCCEEDED = sa.text("status <> 'succeeded'")
OF_A_CALLER = sa.text("caller <> ''")


def upgrade() -> None:
    op.add_column("receipts", sa.Column("caller", sa.String(64), nullable=False, server_default=""))
    op.add_column("receipts", sa.Column("content", sa.JSON(), nullable=True))
    op.add_column("receipts", sa.Column("retry_of", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_receipts_status_finished_at_id",
        "receipts",
        ["status", "finished_at", "id"],
        postgresql_where=NOT_SUCCEEDED,
        sqlite_where=NOT_SUCCEEDED,
    )
    op.create_index(
        "ix_receipts_caller_finished_at_id",
        "receipts",
        ["caller", "finished_at", "id"],
        postgresql_where=OF_A_CALLER,
        sqlite_where=OF_A_CALLER,
    )


def downgrade() -> None:
    op.drop_index("ix_receipts_caller_finished_at_id", "receipts")
    op.drop_index("ix_receipts_status_finished_at_id", "receipts")
    op.drop_column("receipts", "retry_of")
    op.drop_column("receipts", "content")
    op.drop_column("receipts", "caller")
