"""limits, retries, GPUs of a search, how long drivers lived

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ADDED = {
    "search": (
        sa.Column("configs", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("per_gpu", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("isolate_gpus", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("multi_gpu", sa.Text(), nullable=False, server_default="auto"),
        sa.Column("timeout", sa.Float(), nullable=True),
        sa.Column("retries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("retry_timeouts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("max_failures", sa.Text(), nullable=True),
        sa.Column("max_time", sa.Float(), nullable=True),
        sa.Column("target_loss", sa.Float(), nullable=True),
        sa.Column("judged", sa.Integer(), nullable=False, server_default="0"),
    ),
    "driver": (
        sa.Column("seen_at", sa.Text(), nullable=True),
        sa.Column("workers", sa.Integer(), nullable=True),
        sa.Column("isolated", sa.Integer(), nullable=False, server_default="0"),
    ),
    "attempt": (
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("retried", sa.Text(), nullable=True),
    ),
}


def upgrade() -> None:

    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:

    for table, columns in ADDED.items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column.name)
