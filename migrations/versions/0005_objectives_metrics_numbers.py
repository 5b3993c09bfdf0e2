"""objectives beside losses, the smallest budget, metrics, what attempts used, numbers of configs

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RENAMED = (
    *((table, "best_loss", "best_objective") for table in ("_search", "_bracket", "_rung")),
    ("_rung", "cutoff_loss", "cutoff_objective"),
    ("_config", "best_loss", "best_objective"),
    ("_incumbent", "loss", "objective"),
)

ADDED = {
    "_search": (
        sa.Column("maximize", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("min_epochs", sa.Integer(), nullable=False, server_default="1"),
    ),
    "_config": (sa.Column("number", sa.Integer(), nullable=True),),
    "_attempt": (
        sa.Column("peak_memory", sa.Integer(), nullable=True),
        sa.Column("cpu_seconds", sa.Float(), nullable=True),
    ),
}

NUMBERED = """
UPDATE _config SET number = n.number
FROM (SELECT pk, row_number() OVER (PARTITION BY search_pk ORDER BY pk) AS number FROM _config) n
WHERE n.pk = _config.pk"""


def upgrade() -> None:
    for table, old, new in RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.execute(NUMBERED)
    op.create_index("uq_config_number", "_config", ["number", "search_pk"], unique=True)
    op.create_table(
        "_metric",
        sa.Column("attempt_pk", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_pk"], ["_attempt.pk"], name=op.f("fk_metric_attempt_pk_attempt")
        ),
        sa.PrimaryKeyConstraint("attempt_pk", "name", name=op.f("pk_metric")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("_metric")
    op.drop_index("uq_config_number", "_config")
    for table, columns in ADDED.items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column.name)
    for table, old, new in RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {new} TO {old}")
