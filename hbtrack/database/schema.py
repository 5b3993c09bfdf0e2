"""The private tables: their one description, of which `ddl.py` makes SQL.

Users read the views (views.py), which keep their names and columns; the names of tables begin with
`_`, so that whoever lists a database meets the views first. What a column means that a view shows
too, `dictionary.py` says; the comments here say the rest.

Facts: search, driver, bracket, rung (the schedule), config, param, place (what was sampled and who
entered which rung), evaluation, attempt, output, metric. A loss is as the script printed it, an
objective what is ranked, the smaller the better: the loss, or its negative. Every `pk` is private;
`config_id` is the script's own string. A place of rung 0 is what was sampled.

The columns called "summary" follow from the facts and are written in the same transaction, so
that no view has to count over a whole search. The plan never reads them.

Columns stand in the order in which they came, the later revisions' last: so they lie in every file,
whether it was made by this version or upgraded to it.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Type = Literal[
    "integer",  # of 64 bits: an attempt's pk is a time in microseconds
    "double",
    "text",  # equal only if the same, in the order of its code points
    "scalar",  # a number stays a number, a text a text
]


class Column(NamedTuple):
    """A column of a table; without `null`, one that always has a value."""

    name: str
    type: Type
    null: bool = False
    default: str | None = None
    references: str | None = None
    """The table whose `pk` it names; that table may stand later."""


class Index(NamedTuple):
    """An index over the rows for which `where` holds, or over all."""

    name: str
    columns: Sequence[str]
    where: str | None = None
    unique: bool = False


class Table(NamedTuple):
    """A table; without a `key`, its first column is the number `pk`, by default the next one."""

    name: str
    columns: Sequence[Column]
    key: Sequence[str] = ()
    unique: Sequence[Sequence[str]] = ()
    checks: Mapping[str, str] = {}
    indexes: Sequence[Index] = ()


class Trigger(NamedTuple):
    """What is done for a row of a table when one of these columns has got another value."""

    name: str
    table: str
    columns: Sequence[str]
    statement: str


def _of(table: str, *, null: bool = False) -> Column:
    return Column(f"{table}_pk", "integer", null, references=f"_{table}")


TABLES = (
    Table(
        "_search",
        (
            Column("run_identity", "text"),
            Column("token", "text"),  # random; HBTRACK_ATTEMPT is "token-attempt_pk"
            # What was asked for; fixed from the first start on.
            Column("max_epochs", "integer"),
            Column("eta", "text"),  # exact decimal text: 3, 2.5
            Column("seed", "integer"),
            Column("passes", "integer"),
            Column("failure_loss", "double"),
            # How the script is run; what a resume needs.
            Column("script", "text"),
            Column("script_sha256", "text"),
            Column("script_args", "text"),
            Column("python", "text"),
            Column("cwd", "text"),
            Column("workers", "integer", null=True),  # last used; NULL means the default
            Column("gpus", "text"),  # last used: all, none or 0,2
            # State.
            Column("status", "text"),
            Column("stop_reason", "text", null=True),
            Column("fence", "integer"),  # grows with each driver; older ones write nothing
            Column("created_at", "text"),
            Column("finished_at", "text", null=True),
            # Summary.
            Column("evaluations_planned", "integer"),
            Column("evaluations_done", "integer"),
            Column("evaluations_failed", "integer"),
            Column("epochs_planned", "integer"),
            Column("epochs_done", "integer"),
            Column("best_objective", "double", null=True),
            Column("best_config_id", "text", null=True),
            Column("best_epochs", "integer", null=True),
            # What was asked for, and how the script is run.
            Column("configs", "text", default="[]"),  # JSON: ids of the user's own
            Column("per_gpu", "integer", default="1"),
            Column("isolate_gpus", "integer", default="0"),
            Column("multi_gpu", "text", default="auto"),  # or never
            # Limits, as last typed.
            Column("timeout", "double", null=True),
            Column("retries", "integer", default="0"),
            Column("retry_timeouts", "integer", default="0"),
            Column("max_failures", "text", null=True),
            Column("max_time", "double", null=True),
            Column("target_loss", "double", null=True),
            # State and summary.
            Column("judged", "integer", default="0"),  # once stopped as broken
            Column("ranked", "integer", default="0"),  # the ranks of _config are up to date
            # Which failures in a row are doubted, and for how long; None believes them all.
            Column("max_streak", "integer", null=True, default="10"),
            Column("max_rest", "double", default="1800"),
            Column("retry_on", "text", default="[]"),  # JSON: texts of the machine's errors
            # How the script is run, and what was found.
            Column("checkpoints", "text", null=True),  # a folder; NULL: in NAME.d
            Column("streams", "text", default="seed"),  # or seed+identity: what keys a draw
            Column("script_changes", "text", default="go-on"),  # or stop
            Column("found_checkpoints", "text", null=True),  # that the search did not make
            # What was asked for.
            Column("maximize", "integer", default="0"),  # then objective = -loss
            Column("min_epochs", "integer", default="1"),
        ),
        unique=[("run_identity",)],
        checks={"status": "status IN ('unfinished', 'stopped', 'finished')"},
    ),
    # One row for each process that owned a search: who started an attempt, and how.
    Table(
        "_driver",
        (
            _of("search"),
            Column("fence", "integer"),
            Column("host", "text"),
            Column("pid", "integer"),
            Column("python", "text"),
            Column("script", "text"),
            Column("script_args", "text"),
            Column("script_sha256", "text"),
            # The shell-quoted command around CONFIG_ID --epochs N --gpu G, for the views.
            Column("command_head", "text"),
            Column("command_tail", "text"),
            Column("started_at", "text"),
            Column("ended_at", "text", null=True),
            Column("seen_at", "text", null=True),
            Column("workers", "integer", null=True),
            Column("isolated", "integer", default="0"),  # CUDA_VISIBLE_DEVICES was set
            Column("rests_until", "text", null=True),
            Column("rests_because", "text", null=True),
            Column("rests_from", "text", null=True),  # what failed since is doubted; handed on
            Column("boot_id", "text", null=True),  # of the machine: since when it counts seconds
            Column("lived", "double", null=True),  # seconds, when last seen
            Column("looks", "integer", default="0"),  # at the script at each start
        ),
        unique=[("search_pk", "fence")],
    ),
    Table(
        "_bracket",
        (
            _of("search"),
            Column("pass", "integer"),
            Column("first_epochs", "integer"),  # the key; s = rungs - 1
            Column("configs", "integer"),
            Column("rungs", "integer"),
            # Summary.
            Column("status", "text"),
            Column("evaluations_planned", "integer"),
            Column("evaluations_done", "integer"),
            Column("best_objective", "double", null=True),
        ),
        unique=[("search_pk", "pass", "first_epochs")],
        checks={"status": "status IN ('waiting', 'running', 'done')"},
    ),
    Table(
        "_rung",
        (
            _of("bracket"),
            Column("rung", "integer"),
            Column("epochs", "integer"),
            Column("configs_planned", "integer"),
            # Summary.
            Column("configs_entered", "integer"),
            Column("done", "integer"),
            Column("failed", "integer"),
            Column("promoted", "integer", null=True),
            Column("best_objective", "double", null=True),
            Column("cutoff_objective", "double", null=True),
        ),
        unique=[("bracket_pk", "rung")],
    ),
    Table(
        "_config",
        (
            _of("search"),
            Column("config_id", "text"),
            # Summary: its best done evaluation, and all it cost.
            Column("best_objective", "double", null=True),
            Column("best_epochs", "integer", null=True),
            Column("best_position", "integer", null=True),  # that of _place, breaks ties
            Column("epochs_reached", "integer", null=True),
            Column("seconds", "double"),
            # Stored when a driver lets the search go; a trigger says that it is out of date. While
            # a search runs, one better config would move all that are behind it.
            Column("rank", "integer", null=True),
            Column("cleaned_at", "text", null=True),  # when its checkpoints were removed
            Column("number", "integer", null=True),  # in its search, from 1: for people, as #3
        ),
        unique=[("search_pk", "config_id")],
        indexes=(
            # Not the search first, or SQLite would read a bracket's results through all configs.
            Index("uq_config_number", ("number", "search_pk"), unique=True),
            Index("ix_config_rank", ("search_pk", "rank"), where="rank IS NOT NULL"),
            Index(
                "ix_config_leaderboard",
                ("search_pk", "best_objective", "best_position", "config_id"),
                where="best_objective IS NOT NULL",
            ),
        ),
    ),
    Table(
        "_param",
        (_of("config"), Column("name", "text"), Column("value", "scalar", null=True)),
        key=("config_pk", "name"),
    ),
    Table(
        "_place",
        (
            _of("rung"),
            Column("slot", "integer"),
            _of("config"),
            # The evaluation whose result counts here; NULL while waiting. Its own place is the one
            # that the script was called for: for all others the result is reused.
            _of("evaluation", null=True),
            Column("promoted", "integer", null=True),
            Column("position", "integer"),  # pass, bracket, rung, slot packed: sorts so
        ),
        unique=[("rung_pk", "slot")],
        checks={"promoted": "promoted IS NULL OR promoted IN (0, 1)"},
        indexes=(
            Index("ix_place_evaluation_pk", ("evaluation_pk",)),
            Index("ix_place_config_pk", ("config_pk",)),
        ),
    ),
    # A config at a budget; what became of it is its last attempt's status.
    Table(
        "_evaluation",
        (
            _of("config"),
            Column("epochs", "integer"),
            _of("place", null=True),
            _of("attempt", null=True),  # the last one
            Column("attempts", "integer"),
        ),
        unique=[("config_pk", "epochs")],
    ),
    Table(
        "_attempt",
        (
            _of("evaluation"),
            Column("attempt", "integer"),
            _of("driver"),
            Column("worker", "integer"),  # number of its files in NAME.d
            Column("gpu", "text"),
            Column("status", "text"),
            Column("watched", "integer"),  # whether a driver was there when it ended
            Column("pid", "integer", null=True),
            Column("exit_code", "integer", null=True),
            Column("signal", "text", null=True),
            Column("loss", "double", null=True),
            Column("error_type", "text", null=True),
            Column("error_message", "text", null=True),
            Column("error", "text", null=True),
            Column("started_at", "text"),
            Column("finished_at", "text", null=True),
            Column("seconds", "double", null=True),
            Column("fingerprint", "text", null=True),
            Column("retried", "text", null=True),  # not NULL: such a failure is no result
            Column("max_epochs", "integer", null=True),  # as the script was told
            Column("epochs_before", "integer", null=True),  # likewise: in its checkpoint
            Column("since_boot", "double", null=True),  # seconds at its start, by the boot's clock
            Column("script_version", "integer", null=True),  # NULL: not known which one ran
            Column("peak_memory", "integer", null=True),  # bytes, of its largest process
            Column("cpu_seconds", "double", null=True),  # of all its processes that it waited for
        ),
        unique=[("evaluation_pk", "attempt")],
        checks={
            "status": "status IN ('running', 'stopping', 'done', 'failed', 'timeout', "
            "'interrupted', 'lost')",
            "done_has_loss": "(status = 'done') IS (loss IS NOT NULL)",
        },
        # Every open attempt has no finished_at; no evaluation has two of them, nor two results.
        indexes=(
            Index("uq_attempt_open", ("evaluation_pk",), "finished_at IS NULL", unique=True),
            Index("uq_attempt_done", ("evaluation_pk",), "status = 'done'", unique=True),
            Index("ix_attempt_failed", ("driver_pk",), "status IN ('failed', 'timeout')"),
        ),
    ),
    # What an attempt printed, up to 64 KiB a stream; longer logs also lie in NAME.d.
    Table(
        "_output",
        (
            _of("attempt"),
            Column("stdout", "text"),
            Column("stderr", "text"),
            # The name of the longer log in NAME.d/SEARCH/logs, without ending.
            Column("log", "text", null=True),
        ),
        key=("attempt_pk",),
    ),
    # The numbers that an attempt printed beside its loss.
    Table(
        "_metric",
        (_of("attempt"), Column("name", "text"), Column("value", "double")),
        key=("attempt_pk", "name"),
    ),
    # Summary: each time the best objective improved.
    Table(
        "_incumbent",
        (
            _of("search"),
            _of("evaluation"),
            Column("finished_at", "text"),
            Column("epochs_spent", "integer"),
            Column("objective", "double"),
        ),
        indexes=[Index("ix_incumbent_search_pk", ("search_pk",))],
    ),
    # What ran: the script and the user's own modules that its import loaded, in each version.
    Table(
        "_script_version",
        (
            _of("search"),
            Column("number", "integer"),
            Column("script_sha256", "text"),
            Column("files", "text"),  # JSON: hashes of all of them by their paths
            Column("seen_at", "text"),
        ),
        key=("search_pk", "number"),
    ),
    Table(
        "_script_text",
        (Column("sha256", "text"), Column("text", "text")),
        key=("sha256",),
    ),
)

TRIGGERS = (
    Trigger(
        "ranks_outdated",
        "_config",
        ("best_objective", "best_position"),
        "UPDATE _search SET ranked = 0 WHERE pk = new.search_pk AND ranked",
    ),
)
