"""The private tables. Users read the views (views.py), which keep their names and columns.

Facts: search, driver, bracket, rung (the schedule), config, param, place (what was sampled and who
entered which rung), evaluation, attempt, output. Every `pk` is private; `config_id` is the
script's own string. A place of rung 0 is what was sampled.

The columns headed "summary" follow from the facts and are written in the same transaction, so
that no view has to count over a whole search. The plan never reads them.
"""

from sqlalchemy import (
    BLOB,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _pk() -> "Column[int]":
    return Column("pk", Integer, primary_key=True)


def _of(table: str, *, nullable: bool = False) -> "Column[int]":
    return Column(f"{table}_pk", Integer, ForeignKey(f"{table}.pk"), nullable=nullable)


search = Table(
    "search",
    metadata,
    _pk(),
    Column("run_identity", Text, nullable=False, unique=True),
    Column("token", Text, nullable=False),  # random; HBTRACK_ATTEMPT is "token-attempt_pk"
    # What was asked for; fixed from the first start on.
    Column("max_epochs", Integer, nullable=False),
    Column("eta", Text, nullable=False),  # exact decimal text: 3, 2.5
    Column("seed", Integer, nullable=False),
    Column("passes", Integer, nullable=False),
    Column("failure_loss", Float, nullable=False),
    Column("configs", Text, nullable=False, server_default="[]"),  # JSON: ids of the user's own
    # How the script is run; what a resume needs.
    Column("script", Text, nullable=False),  # absolute path
    Column("script_sha256", Text, nullable=False),
    Column("script_args", Text, nullable=False),  # JSON array
    Column("python", Text, nullable=False),
    Column("cwd", Text, nullable=False),
    Column("workers", Integer),  # last used; NULL means the default
    Column("gpus", Text, nullable=False),  # last used: all, none or 0,2
    Column("per_gpu", Integer, nullable=False, server_default="1"),
    Column("isolate_gpus", Integer, nullable=False, server_default="0"),
    Column("multi_gpu", Text, nullable=False, server_default="auto"),  # or never
    # Limits, as last typed; NULL is none.
    Column("timeout", Float),  # seconds of an attempt
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("retry_timeouts", Integer, nullable=False, server_default="0"),
    Column("max_failures", Text),  # 5 or 10%
    Column("max_time", Float),  # seconds of all drivers together
    Column("target_loss", Float),
    # State.
    Column("status", Text, nullable=False),
    Column("stop_reason", Text),
    Column("judged", Integer, nullable=False, server_default="0"),  # once stopped as broken
    Column("fence", Integer, nullable=False),  # grows with each driver; older ones write nothing
    Column("created_at", Text, nullable=False),
    Column("finished_at", Text),
    # Summary.
    Column("evaluations_planned", Integer, nullable=False),
    Column("evaluations_done", Integer, nullable=False),
    Column("evaluations_failed", Integer, nullable=False),
    Column("epochs_planned", Integer, nullable=False),
    Column("epochs_done", Integer, nullable=False),
    Column("best_loss", Float),
    Column("best_config_id", Text),
    Column("best_epochs", Integer),
    Column("ranked", Integer, nullable=False, server_default="0"),  # config.rank is up to date
    CheckConstraint("status IN ('unfinished', 'stopped', 'finished')", name="status"),
)

driver = Table(
    "driver",  # one row for each process that owned a search: who started an attempt, and how
    metadata,
    _pk(),
    _of("search"),
    Column("fence", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("python", Text, nullable=False),
    Column("script", Text, nullable=False),
    Column("script_args", Text, nullable=False),  # JSON array
    Column("script_sha256", Text, nullable=False),
    # The shell-quoted command around CONFIG_ID --epochs N --gpu G, for the views.
    Column("command_head", Text, nullable=False),
    Column("command_tail", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("seen_at", Text),  # it lived until then at least
    Column("ended_at", Text),  # NULL: alive, or it died without a word
    Column("workers", Integer),  # NULL: it only ended what ran
    Column("isolated", Integer, nullable=False, server_default="0"),  # CUDA_VISIBLE_DEVICES was set
    UniqueConstraint("search_pk", "fence"),
)

bracket = Table(
    "bracket",
    metadata,
    _pk(),
    _of("search"),
    Column("pass", Integer, nullable=False),
    Column("first_epochs", Integer, nullable=False),  # the key; s = rungs - 1
    Column("configs", Integer, nullable=False),
    Column("rungs", Integer, nullable=False),
    # Summary.
    Column("status", Text, nullable=False),
    Column("evaluations_planned", Integer, nullable=False),
    Column("evaluations_done", Integer, nullable=False),
    Column("best_loss", Float),
    UniqueConstraint("search_pk", "pass", "first_epochs"),
    CheckConstraint("status IN ('waiting', 'running', 'done')", name="status"),
)

rung = Table(
    "rung",
    metadata,
    _pk(),
    _of("bracket"),
    Column("rung", Integer, nullable=False),  # 0 is the cheapest
    Column("epochs", Integer, nullable=False),
    Column("configs_planned", Integer, nullable=False),
    # Summary.
    Column("configs_entered", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("promoted", Integer),  # NULL until the rung is settled
    Column("best_loss", Float),
    Column("cutoff_loss", Float),  # the largest loss that was promoted
    UniqueConstraint("bracket_pk", "rung"),
)

config = Table(
    "config",
    metadata,
    _pk(),
    _of("search"),
    Column("config_id", Text, nullable=False),
    # Summary: its best done evaluation, and all it cost.
    Column("best_loss", Float),
    Column("best_epochs", Integer),
    Column("best_position", Integer),  # place.position, breaks ties of best_loss
    Column("epochs_reached", Integer),  # the largest budget that is done
    Column("seconds", Float, nullable=False),
    # Stored when a driver lets the search go; a trigger says that it is out of date. While a
    # search runs, one better config would move all that are behind it.
    Column("rank", Integer),
    UniqueConstraint("search_pk", "config_id"),
    Index("ix_config_rank", "search_pk", "rank", sqlite_where=text("rank IS NOT NULL")),
    Index(
        "ix_config_leaderboard",
        "search_pk",
        "best_loss",
        "best_position",
        "config_id",
        sqlite_where=text("best_loss IS NOT NULL"),
    ),
)

param = Table(
    "param",
    metadata,
    Column("config_pk", Integer, ForeignKey("config.pk"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", BLOB),  # no affinity: a number stays a number, a text a text
    sqlite_with_rowid=False,
)

place = Table(
    "place",
    metadata,
    _pk(),
    _of("rung"),
    Column("slot", Integer, nullable=False),
    _of("config"),
    # The evaluation whose result counts here; NULL while waiting. Its own place is the one that
    # the script was called for: for all others the result is reused.
    _of("evaluation", nullable=True),
    Column("promoted", Integer),
    Column("position", Integer, nullable=False),  # pass, bracket, rung, slot packed: sorts so
    UniqueConstraint("rung_pk", "slot"),
    Index("ix_place_evaluation_pk", "evaluation_pk"),
    Index("ix_place_config_pk", "config_pk"),
    CheckConstraint("promoted IS NULL OR promoted IN (0, 1)", name="promoted"),
)

evaluation = Table(
    "evaluation",  # a config at a budget; what became of it is its last attempt's status
    metadata,
    _pk(),
    _of("config"),
    Column("epochs", Integer, nullable=False),
    Column("place_pk", Integer, ForeignKey("place.pk", use_alter=True)),
    Column("attempt_pk", Integer, ForeignKey("attempt.pk", use_alter=True)),  # the last one
    Column("attempts", Integer, nullable=False),
    UniqueConstraint("config_pk", "epochs"),
)

attempt = Table(
    "attempt",
    metadata,
    _pk(),
    _of("evaluation"),
    Column("attempt", Integer, nullable=False),  # from 1
    _of("driver"),
    Column("worker", Integer, nullable=False),  # number of its files in NAME.d
    Column("gpu", Text, nullable=False),  # 0, or 0,1,2,3 with --multi_gpu
    Column("status", Text, nullable=False),
    Column("watched", Integer, nullable=False),  # whether a driver was there when it ended
    Column("pid", Integer),
    Column("exit_code", Integer),
    Column("signal", Text),
    Column("loss", Float),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("error", Text),
    Column("fingerprint", Text),  # what failures of one cause have in common
    # Why the evaluation runs again although this attempt failed: automatic (--retries), gpu (to
    # tell the GPU's fault from the config's), asked (hbtrack retry). Such a failure is no result.
    Column("retried", Text),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("seconds", Float),
    UniqueConstraint("evaluation_pk", "attempt"),
    CheckConstraint(
        "status IN ('running', 'stopping', 'done', 'failed', 'timeout', 'interrupted', 'lost')",
        name="status",
    ),
    CheckConstraint("(status = 'done') IS (loss IS NOT NULL)", name="done_has_loss"),
    # Every open attempt has no finished_at; no evaluation has two of them, nor two results.
    Index(
        "uq_attempt_open",
        "evaluation_pk",
        unique=True,
        sqlite_where=text("finished_at IS NULL"),
    ),
    Index(
        "uq_attempt_done",
        "evaluation_pk",
        unique=True,
        sqlite_where=text("status = 'done'"),
    ),
    Index(
        "ix_attempt_failed",
        "driver_pk",
        sqlite_where=text("status IN ('failed', 'timeout')"),
    ),
)

output = Table(
    "output",  # what an attempt printed, up to 64 KiB a stream; longer logs also lie in NAME.d
    metadata,
    Column("attempt_pk", Integer, ForeignKey("attempt.pk"), primary_key=True),
    Column("stdout", Text, nullable=False),
    Column("stderr", Text, nullable=False),
    Column("log", Text),  # the name of the longer log in NAME.d/SEARCH/logs, without ending
)

incumbent = Table(
    "incumbent",  # summary: each time the best loss improved
    metadata,
    _pk(),
    _of("search"),
    Column("evaluation_pk", Integer, ForeignKey("evaluation.pk"), nullable=False),
    Column("finished_at", Text, nullable=False),
    Column("epochs_spent", Integer, nullable=False),
    Column("loss", Float, nullable=False),
    Index("ix_incumbent_search_pk", "search_pk"),
)
