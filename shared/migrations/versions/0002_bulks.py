"""The place of a job in its bulk."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IS_OF_A_BULK = sa.text("bulk IS NOT NULL")


def upgrade() -> None:
    op.add_column("receipts", sa.Column("bulk", sa.Uuid(), nullable=True))
    op.add_column("receipts", sa.Column("line", sa.Integer(), nullable=True))
    op.create_index(
        "ix_receipts_bulk_line",
        "receipts",
        ["bulk", "line"],
        postgresql_where=IS_OF_A_BULK,
        sqlite_where=IS_OF_A_BULK,
    )


def downgrade() -> None:
    op.drop_index("ix_receipts_bulk_line", "receipts")
    op.drop_column("receipts", "line")
    op.drop_column("receipts", "bulk")
