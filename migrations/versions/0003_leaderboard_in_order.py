"""the worker of an attempt, the drivers of a search, a leaderboard that is read in order

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("search_pk", "best_loss", "best_position", "config_id")
    op.create_index("ix_place_config_pk", "place", ["config_pk"])


def downgrade() -> None:
    op.drop_index("ix_place_config_pk", "place")
    _index("search_pk", "best_loss", "best_position")


def _index(*columns: str) -> None:
    op.drop_index("ix_config_leaderboard", "config")
    ranked = sa.text("best_loss IS NOT NULL")
    op.create_index("ix_config_leaderboard", "config", list(columns), sqlite_where=ranked)
