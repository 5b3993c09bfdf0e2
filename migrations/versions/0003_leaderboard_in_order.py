"""the worker of an attempt, the drivers of a search, a leaderboard that is read in order

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RANK = """
UPDATE config SET rank = r.rank FROM (
    SELECT pk, row_number()
        OVER (PARTITION BY search_pk ORDER BY best_loss, best_position, config_id) AS rank
    FROM config WHERE best_loss IS NOT NULL
) r WHERE r.pk = config.pk"""


def upgrade() -> None:
    op.add_column("search", sa.Column("ranked", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("config", sa.Column("rank", sa.Integer(), nullable=True))
    stored = sa.text("rank IS NOT NULL")
    op.create_index("ix_config_rank", "config", ["search_pk", "rank"], sqlite_where=stored)
    _index("search_pk", "best_loss", "best_position", "config_id")
    op.create_index("ix_place_config_pk", "place", ["config_pk"])
    op.execute(RANK)
    op.execute("UPDATE search SET ranked = 1")


def downgrade() -> None:
    op.drop_index("ix_place_config_pk", "place")
    _index("search_pk", "best_loss", "best_position")
    op.drop_index("ix_config_rank", "config")
    for table, column in (("search", "ranked"), ("config", "rank")):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)


def _index(*columns: str) -> None:
    op.drop_index("ix_config_leaderboard", "config")
    ranked = sa.text("best_loss IS NOT NULL")
    op.create_index("ix_config_leaderboard", "config", list(columns), sqlite_where=ranked)
