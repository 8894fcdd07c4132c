"""The place of a job in its bulk."""

import sqlalchemy as sa
from alembic import op

from shared.online import add_column, create_index

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("receipts", sa.Column("bulk", sa.Uuid(), nullable=True))
    add_column("receipts", sa.Column("line", sa.Integer(), nullable=True))
    create_index("ix_receipts_bulk_line", "receipts", ["bulk", "line"], where="bulk IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_receipts_bulk_line", "receipts")
    op.drop_column("receipts", "line")
    op.drop_column("receipts", "bulk")
