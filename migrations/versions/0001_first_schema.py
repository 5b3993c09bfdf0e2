"""first schema

Revision: 0001, after
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "search",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("run_identity", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("max_epochs", sa.Integer(), nullable=False),
        sa.Column("eta", sa.Text(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("failure_loss", sa.Float(), nullable=False),
        sa.Column("script", sa.Text(), nullable=False),
        sa.Column("script_sha256", sa.Text(), nullable=False),
        sa.Column("script_args", sa.Text(), nullable=False),
        sa.Column("python", sa.Text(), nullable=False),
        sa.Column("cwd", sa.Text(), nullable=False),
        sa.Column("workers", sa.Integer(), nullable=True),
        sa.Column("gpus", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Text(), nullable=True),
        sa.Column("evaluations_planned", sa.Integer(), nullable=False),
        sa.Column("evaluations_done", sa.Integer(), nullable=False),
        sa.Column("evaluations_failed", sa.Integer(), nullable=False),
        sa.Column("epochs_planned", sa.Integer(), nullable=False),
        sa.Column("epochs_done", sa.Integer(), nullable=False),
        sa.Column("best_loss", sa.Float(), nullable=True),
        sa.Column("best_config_id", sa.Text(), nullable=True),
        sa.Column("best_epochs", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "status IN ('unfinished', 'stopped', 'finished')", name=op.f("ck_search_status")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_search")),
        sa.UniqueConstraint("run_identity", name=op.f("uq_search_run_identity")),
    )
    op.create_table(
        "bracket",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("search_pk", sa.Integer(), nullable=False),
        sa.Column("pass", sa.Integer(), nullable=False),
        sa.Column("first_epochs", sa.Integer(), nullable=False),
        sa.Column("configs", sa.Integer(), nullable=False),
        sa.Column("rungs", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("evaluations_planned", sa.Integer(), nullable=False),
        sa.Column("evaluations_done", sa.Integer(), nullable=False),
        sa.Column("best_loss", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "status IN ('waiting', 'running', 'done')", name=op.f("ck_bracket_status")
        ),
        sa.ForeignKeyConstraint(
            ["search_pk"], ["search.pk"], name=op.f("fk_bracket_search_pk_search")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_bracket")),
        sa.UniqueConstraint(
            "search_pk", "pass", "first_epochs", name=op.f("uq_bracket_search_pk_pass_first_epochs")
        ),
    )
    op.create_table(
        "config",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("search_pk", sa.Integer(), nullable=False),
        sa.Column("config_id", sa.Text(), nullable=False),
        sa.Column("best_loss", sa.Float(), nullable=True),
        sa.Column("best_epochs", sa.Integer(), nullable=True),
        sa.Column("best_position", sa.Integer(), nullable=True),
        sa.Column("epochs_reached", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["search_pk"], ["search.pk"], name=op.f("fk_config_search_pk_search")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_config")),
        sa.UniqueConstraint("search_pk", "config_id", name=op.f("uq_config_search_pk_config_id")),
    )
    with op.batch_alter_table("config", schema=None) as batch_op:
        batch_op.create_index(
            "ix_config_leaderboard",
            ["search_pk", "best_loss", "best_position"],
            unique=False,
            sqlite_where=sa.text("best_loss IS NOT NULL"),
        )

    op.create_table(
        "driver",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("search_pk", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("python", sa.Text(), nullable=False),
        sa.Column("script", sa.Text(), nullable=False),
        sa.Column("script_args", sa.Text(), nullable=False),
        sa.Column("script_sha256", sa.Text(), nullable=False),
        sa.Column("command_head", sa.Text(), nullable=False),
        sa.Column("command_tail", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["search_pk"], ["search.pk"], name=op.f("fk_driver_search_pk_search")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_driver")),
        sa.UniqueConstraint("search_pk", "fence", name=op.f("uq_driver_search_pk_fence")),
    )
    op.create_table(
        "evaluation",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("config_pk", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("place_pk", sa.Integer(), nullable=True),
        sa.Column("attempt_pk", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_pk"],
            ["attempt.pk"],
            name=op.f("fk_evaluation_attempt_pk_attempt"),
            use_alter=True,
        ),
        sa.ForeignKeyConstraint(
            ["config_pk"], ["config.pk"], name=op.f("fk_evaluation_config_pk_config")
        ),
        sa.ForeignKeyConstraint(
            ["place_pk"], ["place.pk"], name=op.f("fk_evaluation_place_pk_place"), use_alter=True
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_evaluation")),
        sa.UniqueConstraint("config_pk", "epochs", name=op.f("uq_evaluation_config_pk_epochs")),
    )
    op.create_table(
        "param",
        sa.Column("config_pk", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BLOB(), nullable=True),
        sa.ForeignKeyConstraint(
            ["config_pk"], ["config.pk"], name=op.f("fk_param_config_pk_config")
        ),
        sa.PrimaryKeyConstraint("config_pk", "name", name=op.f("pk_param")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rung",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("bracket_pk", sa.Integer(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("configs_planned", sa.Integer(), nullable=False),
        sa.Column("configs_entered", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("promoted", sa.Integer(), nullable=True),
        sa.Column("best_loss", sa.Float(), nullable=True),
        sa.Column("cutoff_loss", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["bracket_pk"], ["bracket.pk"], name=op.f("fk_rung_bracket_pk_bracket")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_rung")),
        sa.UniqueConstraint("bracket_pk", "rung", name=op.f("uq_rung_bracket_pk_rung")),
    )
    op.create_table(
        "attempt",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("evaluation_pk", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("driver_pk", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=False),
        sa.Column("gpu", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("watched", sa.Integer(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Text(), nullable=True),
        sa.Column("loss", sa.Float(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "(status = 'done') IS (loss IS NOT NULL)", name=op.f("ck_attempt_done_has_loss")
        ),
        sa.CheckConstraint(
            "status IN ('running', 'stopping', 'done', 'failed', 'timeout', 'interrupted', 'lost')",
            name=op.f("ck_attempt_status"),
        ),
        sa.ForeignKeyConstraint(
            ["driver_pk"], ["driver.pk"], name=op.f("fk_attempt_driver_pk_driver")
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_pk"], ["evaluation.pk"], name=op.f("fk_attempt_evaluation_pk_evaluation")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_attempt")),
        sa.UniqueConstraint(
            "evaluation_pk", "attempt", name=op.f("uq_attempt_evaluation_pk_attempt")
        ),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index(
            "ix_attempt_failed",
            ["driver_pk"],
            unique=False,
            sqlite_where=sa.text("status IN ('failed', 'timeout')"),
        )
        batch_op.create_index(
            "uq_attempt_done",
            ["evaluation_pk"],
            unique=True,
            sqlite_where=sa.text("status = 'done'"),
        )
        batch_op.create_index(
            "uq_attempt_open",
            ["evaluation_pk"],
            unique=True,
            sqlite_where=sa.text("finished_at IS NULL"),
        )

    op.create_table(
        "incumbent",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("search_pk", sa.Integer(), nullable=False),
        sa.Column("evaluation_pk", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.Text(), nullable=False),
        sa.Column("epochs_spent", sa.Integer(), nullable=False),
        sa.Column("loss", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation_pk"], ["evaluation.pk"], name=op.f("fk_incumbent_evaluation_pk_evaluation")
        ),
        sa.ForeignKeyConstraint(
            ["search_pk"], ["search.pk"], name=op.f("fk_incumbent_search_pk_search")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_incumbent")),
    )
    with op.batch_alter_table("incumbent", schema=None) as batch_op:
        batch_op.create_index("ix_incumbent_search_pk", ["search_pk"], unique=False)

    op.create_table(
        "place",
        sa.Column("pk", sa.Integer(), nullable=False),
        sa.Column("rung_pk", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("config_pk", sa.Integer(), nullable=False),
        sa.Column("evaluation_pk", sa.Integer(), nullable=True),
        sa.Column("promoted", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "promoted IS NULL OR promoted IN (0, 1)", name=op.f("ck_place_promoted")
        ),
        sa.ForeignKeyConstraint(
            ["config_pk"], ["config.pk"], name=op.f("fk_place_config_pk_config")
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_pk"], ["evaluation.pk"], name=op.f("fk_place_evaluation_pk_evaluation")
        ),
        sa.ForeignKeyConstraint(["rung_pk"], ["rung.pk"], name=op.f("fk_place_rung_pk_rung")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_place")),
        sa.UniqueConstraint("rung_pk", "slot", name=op.f("uq_place_rung_pk_slot")),
    )
    with op.batch_alter_table("place", schema=None) as batch_op:
        batch_op.create_index("ix_place_evaluation_pk", ["evaluation_pk"], unique=False)

    op.create_table(
        "output",
        sa.Column("attempt_pk", sa.Integer(), nullable=False),
        sa.Column("stdout", sa.Text(), nullable=False),
        sa.Column("stderr", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attempt_pk"], ["attempt.pk"], name=op.f("fk_output_attempt_pk_attempt")
        ),
        sa.PrimaryKeyConstraint("attempt_pk", name=op.f("pk_output")),
    )


def downgrade() -> None:

    op.drop_table("output")
    with op.batch_alter_table("place", schema=None) as batch_op:
        batch_op.drop_index("ix_place_evaluation_pk")

    op.drop_table("place")
    with op.batch_alter_table("incumbent", schema=None) as batch_op:
        batch_op.drop_index("ix_incumbent_search_pk")

    op.drop_table("incumbent")
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index("uq_attempt_open", sqlite_where=sa.text("finished_at IS NULL"))
        batch_op.drop_index("uq_attempt_done", sqlite_where=sa.text("status = 'done'"))
        batch_op.drop_index(
            "ix_attempt_failed", sqlite_where=sa.text("status IN ('failed', 'timeout')")
        )

    op.drop_table("attempt")
    op.drop_table("rung")
    op.drop_table("param")
    op.drop_table("evaluation")
    op.drop_table("driver")
    with op.batch_alter_table("config", schema=None) as batch_op:
        batch_op.drop_index("ix_config_leaderboard", sqlite_where=sa.text("best_loss IS NOT NULL"))

    op.drop_table("config")
    op.drop_table("bracket")
    op.drop_table("search")
