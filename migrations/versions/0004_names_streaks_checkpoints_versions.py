"""tables named as private, doubted failures, folders of checkpoints, versions of the script

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

RENAMED = (
    *("search", "driver", "bracket", "rung", "config", "param", "place"),
    *("evaluation", "attempt", "output", "incumbent"),
)

ADDED = {
    "_search": (
        sa.Column("max_streak", sa.Integer(), nullable=True, server_default="10"),
        sa.Column("max_rest", sa.Float(), nullable=False, server_default="1800"),
        sa.Column("retry_on", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("checkpoints", sa.Text(), nullable=True),
        sa.Column("streams", sa.Text(), nullable=False, server_default="seed"),
        sa.Column("script_changes", sa.Text(), nullable=False, server_default="go-on"),
        sa.Column("found_checkpoints", sa.Text(), nullable=True),
    ),
    "_driver": (
        sa.Column("rests_until", sa.Text(), nullable=True),
        sa.Column("rests_because", sa.Text(), nullable=True),
        sa.Column("rests_from", sa.Text(), nullable=True),
        sa.Column("boot_id", sa.Text(), nullable=True),
        sa.Column("lived", sa.Float(), nullable=True),
        sa.Column("looks", sa.Integer(), nullable=False, server_default="0"),
    ),
    "_attempt": (
        sa.Column("max_epochs", sa.Integer(), nullable=True),
        sa.Column("epochs_before", sa.Integer(), nullable=True),
        sa.Column("since_boot", sa.Float(), nullable=True),
        sa.Column("script_version", sa.Integer(), nullable=True),
    ),
    "_config": (sa.Column("cleaned_at", sa.Text(), nullable=True),),
}


def upgrade() -> None:
    for table in RENAMED:
        op.rename_table(table, f"_{table}")
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.create_table(
        "_script_version",
        sa.Column("search_pk", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("script_sha256", sa.Text(), nullable=False),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search_pk"], ["_search.pk"], name=op.f("fk_script_version_search_pk_search")
        ),
        sa.PrimaryKeyConstraint("search_pk", "number", name=op.f("pk_script_version")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "_script_text",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_script_text")),
    )


def downgrade() -> None:
    op.drop_table("_script_text")
    op.drop_table("_script_version")
    for table, columns in ADDED.items():
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column.name)
    for table in RENAMED:
        op.rename_table(f"_{table}", table)
