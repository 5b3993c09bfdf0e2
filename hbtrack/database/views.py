"""The public views: the interface of the file. Within a major version they only gain columns.

Plain text without SQLAlchemy: reading commands know the views by this module. The upgrade drops
the views first and creates these again at its end, so a change here needs a new revision, be it
an empty one.
"""

TAIL = 4000  # characters of each stream in `attempts`

# A config_id as a shell would need it, like shlex.quote.
_QUOTED_ID = """CASE WHEN c.config_id GLOB '*[^A-Za-z0-9@%+=:,./_-]*'
        THEN '''' || replace(c.config_id, '''', '''"''"''') || ''''
        ELSE c.config_id END"""

_EVALUATION_STATUS = """CASE
        WHEN a.pk IS NULL THEN 'waiting'
        WHEN a.finished_at IS NULL THEN 'running'
        WHEN a.status = 'done' THEN 'done'
        WHEN a.status IN ('failed', 'timeout') AND a.retried IS NULL THEN 'failed'
        ELSE 'waiting' END"""

_HAS_FAILED = (
    "a.status IN ('failed', 'timeout') AND a.finished_at IS NOT NULL AND a.retried IS NULL"
)

RANKED_BY = "c.best_loss, c.best_position, c.config_id"
"""The order of the leaderboard. Without a place (position) configs come last, by their ids."""

_BEST_BRACKET = """(SELECT b.rungs - 1 FROM evaluation e
        JOIN place p ON p.pk = e.place_pk
        JOIN rung g ON g.pk = p.rung_pk
        JOIN bracket b ON b.pk = g.bracket_pk
        WHERE e.config_pk = c.pk AND e.epochs = c.best_epochs)"""

VIEWS: dict[str, str] = {
    "searches": """
SELECT s.run_identity, s.status, s.script, s.script_args, s.max_epochs,
    CAST(s.eta AS NUMERIC) AS eta, s.seed, s.passes, s.failure_loss,
    s.evaluations_planned, s.evaluations_done, s.evaluations_failed,
    s.epochs_planned, s.epochs_done, s.best_loss, s.best_config_id, s.best_epochs,
    s.created_at, s.finished_at, s.stop_reason, s.timeout, s.retries, s.max_failures, s.max_time,
    s.target_loss
FROM search s""",
    "brackets": """
SELECT s.run_identity, b.pass, b.rungs - 1 AS bracket, b.status, b.configs, b.rungs,
    b.evaluations_planned, b.evaluations_done, b.best_loss
FROM bracket b JOIN search s ON s.pk = b.search_pk""",
    "rungs": """
SELECT s.run_identity, b.pass, b.rungs - 1 AS bracket, r.rung, r.epochs,
    r.configs_planned, r.configs_entered, r.done, r.failed,
    (SELECT count(*) FROM attempt a
        CROSS JOIN evaluation e ON e.pk = a.evaluation_pk
        CROSS JOIN place p ON p.pk = e.place_pk
        WHERE a.finished_at IS NULL AND p.rung_pk = r.pk) AS running,
    r.promoted, r.best_loss, r.cutoff_loss
FROM rung r JOIN bracket b ON b.pk = r.bracket_pk JOIN search s ON s.pk = b.search_pk""",
    "results": f"""
SELECT s.run_identity, b.pass, b.rungs - 1 AS bracket, r.rung, p.slot, c.config_id, r.epochs,
    {_EVALUATION_STATUS} AS status,
    CASE WHEN {_HAS_FAILED} THEN s.failure_loss ELSE a.loss END AS loss,
    p.promoted,
    CASE WHEN e.pk IS NULL THEN NULL ELSE e.place_pk IS NOT p.pk END AS reused,
    coalesce(e.attempts, 0) AS attempts, a.gpu, d.host, a.started_at, a.finished_at, a.seconds,
    a.error
FROM place p
    JOIN rung r ON r.pk = p.rung_pk
    JOIN bracket b ON b.pk = r.bracket_pk
    JOIN search s ON s.pk = b.search_pk
    JOIN config c ON c.pk = p.config_pk AND c.search_pk = s.pk  -- so one config is found at once
    LEFT JOIN evaluation e ON e.pk = p.evaluation_pk
    LEFT JOIN attempt a ON a.pk = e.attempt_pk
    LEFT JOIN driver d ON d.pk = a.driver_pk""",
    "attempts": f"""
SELECT s.run_identity, c.config_id, e.epochs, a.attempt, a.status, a.loss, a.exit_code, a.signal,
    a.gpu, d.host, a.pid,
    CASE d.isolated WHEN 1 THEN 'CUDA_VISIBLE_DEVICES=' || a.gpu || ' ' ELSE '' END
        || d.command_head || ' ' || {_QUOTED_ID} || ' --epochs ' || e.epochs || ' --gpu '
        || CASE WHEN d.isolated THEN '0' WHEN instr(a.gpu, ',') = 0 THEN a.gpu
            ELSE substr(a.gpu, 1, instr(a.gpu, ',') - 1) END
        || CASE instr(a.gpu, ',') WHEN 0 THEN '' ELSE ' --multi_gpu' END
        || d.command_tail AS command,
    d.script_sha256, a.started_at, a.finished_at, a.seconds, a.error,
    substr(o.stdout, -{TAIL}) AS stdout_tail, substr(o.stderr, -{TAIL}) AS stderr_tail,
    a.retried, a.worker
FROM attempt a
    JOIN evaluation e ON e.pk = a.evaluation_pk
    JOIN config c ON c.pk = e.config_pk
    JOIN search s ON s.pk = c.search_pk
    JOIN driver d ON d.pk = a.driver_pk
    LEFT JOIN output o ON o.attempt_pk = a.pk""",
    "failures": f"""
SELECT s.run_identity, c.config_id, e.epochs, b.rungs - 1 AS bracket, r.rung,
    a.error_type, a.error_message, a.error, e.attempts, a.finished_at, a.fingerprint
FROM attempt a
    JOIN driver d ON d.pk = a.driver_pk
    JOIN search s ON s.pk = d.search_pk
    JOIN evaluation e ON e.pk = a.evaluation_pk AND e.attempt_pk = a.pk
    JOIN config c ON c.pk = e.config_pk AND c.search_pk = s.pk  -- so one config is found at once
    LEFT JOIN place p ON p.pk = e.place_pk
    LEFT JOIN rung r ON r.pk = p.rung_pk
    LEFT JOIN bracket b ON b.pk = r.bracket_pk
WHERE {_HAS_FAILED}""",
    # Where the ranks are stored they are read in order. Else they are counted along an index that
    # has all that ranks configs, and what else one has is looked up only for the rows asked for.
    # The CAST gives both halves one affinity, without which SQLite would not merge them in order.
    "leaderboard": f"""
SELECT s.run_identity, c.rank, c.config_id, c.best_loss AS loss, c.best_epochs AS epochs,
    c.epochs_reached, {_BEST_BRACKET} AS bracket, c.seconds
FROM search s JOIN config c ON c.search_pk = s.pk
WHERE s.ranked AND c.rank IS NOT NULL
UNION ALL
SELECT r.run_identity, CAST(r.rank AS INTEGER), r.config_id, r.loss,
    (SELECT c.best_epochs FROM config c WHERE c.pk = r.pk),
    (SELECT c.epochs_reached FROM config c WHERE c.pk = r.pk),
    (SELECT {_BEST_BRACKET} FROM config c WHERE c.pk = r.pk),
    (SELECT c.seconds FROM config c WHERE c.pk = r.pk)
FROM (SELECT s.run_identity, c.pk, c.config_id, c.best_loss AS loss,
        row_number() OVER (PARTITION BY s.run_identity ORDER BY {RANKED_BY}) AS rank
    FROM search s CROSS JOIN config c ON c.search_pk = s.pk
    WHERE c.best_loss IS NOT NULL AND NOT s.ranked) r""",
    "incumbents": """
SELECT s.run_identity, i.finished_at, i.epochs_spent, c.config_id, e.epochs, i.loss
FROM incumbent i
    JOIN search s ON s.pk = i.search_pk
    JOIN evaluation e ON e.pk = i.evaluation_pk
    JOIN config c ON c.pk = e.config_pk""",
    "params": """
SELECT s.run_identity, c.config_id, m.name, m.value
FROM param m JOIN config c ON c.pk = m.config_pk JOIN search s ON s.pk = c.search_pk""",
    "drivers": """
SELECT s.run_identity, d.fence AS driver, d.host, d.pid, d.workers, d.started_at, d.seen_at,
    d.ended_at
FROM driver d JOIN search s ON s.pk = d.search_pk""",
}

_TIME = "UTC, ISO 8601 with microseconds and Z"
_IDENTITY = "what run_identity returned: the name of the search"
_CONFIG_ID = "the script's own string for a configuration"
_WHOLE = "which whole Hyperband of the search, from 1"
_BRACKET = "the paper's s: the largest is the most aggressive and comes first"
_RUNG = "level of the bracket; 0 is the cheapest"
_EPOCHS = "the budget: the total for the config, not what this call added"
_ERROR = "traceback or message of the failure; NULL if it did not fail"
_SECONDS = "wall seconds of the process"

DICTIONARY: dict[str, dict[str, str]] = {
    "searches": {
        "run_identity": _IDENTITY,
        "status": "unfinished, stopped (by a limit or `hbtrack stop`; resume goes on) or finished",
        "script": "absolute path of the script",
        "script_args": "the user's own arguments, a JSON array",
        "max_epochs": "the paper's R: the largest budget",
        "eta": "one in eta configs is promoted",
        "seed": "seed of the sampled configs",
        "passes": "how many whole Hyperbands the search has",
        "failure_loss": "the loss that results shows for a failed evaluation",
        "evaluations_planned": "places; shrinks where failures leave a rung fewer configs",
        "evaluations_done": "places with a loss, reused ones included",
        "evaluations_failed": "places that failed, reused failures included",
        "epochs_planned": "epochs to be trained in all; shrinks with failures and reuse",
        "epochs_done": "epochs trained: the largest recorded budget of each config, summed",
        "best_loss": "the smallest loss of a done evaluation at any budget",
        "best_config_id": "the config of best_loss; ties go to the canonically first place",
        "best_epochs": "the budget where best_loss was reached",
        "created_at": f"when the search was first started; {_TIME}",
        "finished_at": f"when its last evaluation was recorded; {_TIME}; NULL until then",
        "stop_reason": "why it is stopped; NULL if it is not",
        "timeout": "seconds that an attempt may take; NULL is no limit",
        "retries": "how often an evaluation that failed by its machine's fault runs again",
        "max_failures": "evaluations that may fail, a number or a percentage; NULL is no limit",
        "max_time": "seconds in which an hbtrack may work on it, in all; NULL is no limit",
        "target_loss": "the loss at which it stops; NULL is none",
    },
    "brackets": {
        "run_identity": _IDENTITY,
        "pass": _WHOLE,
        "bracket": _BRACKET,
        "status": "waiting, running or done",
        "configs": "configs that enter it",
        "rungs": "number of rungs, s + 1",
        "evaluations_planned": "places; shrinks where failures leave a rung fewer configs",
        "evaluations_done": "places with a loss",
        "best_loss": "the smallest loss in it",
    },
    "rungs": {
        "run_identity": _IDENTITY,
        "pass": _WHOLE,
        "bracket": _BRACKET,
        "rung": _RUNG,
        "epochs": _EPOCHS,
        "configs_planned": "configs that Algorithm 1 gives the rung",
        "configs_entered": "configs that have entered it; 0 until the rung below is settled",
        "done": "places with a loss",
        "failed": "places that failed",
        "running": "places whose process is started and not yet settled",
        "promoted": "configs that went on; NULL until the rung is settled",
        "best_loss": "the smallest loss in it",
        "cutoff_loss": "the largest loss that was promoted; NULL if none was",
    },
    "results": {
        "run_identity": _IDENTITY,
        "pass": _WHOLE,
        "bracket": _BRACKET,
        "rung": _RUNG,
        "slot": "the config's place in its bracket, from 0",
        "config_id": _CONFIG_ID,
        "epochs": _EPOCHS,
        "status": "waiting, running, done or failed",
        "loss": "as the script printed it; the search's failure_loss if failed",
        "promoted": "1 or 0 once the rung is settled, NULL before; 0 in the last rung",
        "reused": "1 if the loss was measured for another place; NULL while waiting",
        "attempts": "processes run for the evaluation",
        "gpu": "GPU of the last attempt; several with --multi_gpu (0,1,2,3)",
        "host": "machine of the last attempt",
        "started_at": f"when the last attempt's start was recorded; {_TIME}",
        "finished_at": f"when its process ended; {_TIME}",
        "seconds": _SECONDS,
        "error": _ERROR,
    },
    "attempts": {
        "run_identity": _IDENTITY,
        "config_id": _CONFIG_ID,
        "epochs": _EPOCHS,
        "attempt": "number of the process for this evaluation, from 1",
        "status": "running, stopping, done, failed, timeout, interrupted or lost",
        "loss": "the loss it printed; NULL unless done",
        "exit_code": "exit status; NULL if a signal ended it or nobody saw it end",
        "signal": "name of the signal that ended it",
        "gpu": "GPU it was given, as --gpu or (isolated) CUDA_VISIBLE_DEVICES names it; "
        "several with --multi_gpu (0,1,2,3)",
        "host": "machine it ran on",
        "pid": "process id there; NULL if it never came to start",
        "command": "its command line, quoted for a shell",
        "script_sha256": "hash of the script file when its driver started",
        "started_at": f"when its start was recorded; {_TIME}",
        "finished_at": f"when the process ended; {_TIME}; NULL while it is not settled",
        "seconds": _SECONDS,
        "error": _ERROR,
        "stdout_tail": f"the last {TAIL} characters of stdout",
        "stderr_tail": f"the last {TAIL} characters of stderr",
        "retried": "why the evaluation runs again after this failure: automatic (--retries), gpu "
        "(to see whether the GPU is at fault), asked (hbtrack retry); NULL if it does not",
        "worker": "number of the worker it ran on, from 0",
    },
    "failures": {
        "run_identity": _IDENTITY,
        "config_id": _CONFIG_ID,
        "epochs": _EPOCHS,
        "bracket": f"{_BRACKET}; of the canonically first place",
        "rung": f"{_RUNG}; of the canonically first place",
        "error_type": "exception type, or exit_code, signal, killed, no_output, bad_last_line, "
        "not_finite, log_overflow, timeout",
        "error_message": "the exception's message, or a sentence",
        "error": "the traceback, or what is known",
        "attempts": "processes run for the evaluation",
        "finished_at": f"when the last process ended; {_TIME}",
        "fingerprint": "the same for failures of one cause: kind, exit status, exception, place",
    },
    "leaderboard": {
        "run_identity": _IDENTITY,
        "rank": "1 is the smallest loss; ties in canonical order",
        "config_id": _CONFIG_ID,
        "loss": "its smallest loss at any budget",
        "epochs": "the budget of that loss",
        "epochs_reached": "the largest budget it has a loss for",
        "bracket": f"{_BRACKET}; where that loss was measured",
        "seconds": "wall seconds of all its attempts",
    },
    "incumbents": {
        "run_identity": _IDENTITY,
        "finished_at": f"when the evaluation that improved the best ended; {_TIME}",
        "epochs_spent": "epochs trained in the search up to then",
        "config_id": _CONFIG_ID,
        "epochs": _EPOCHS,
        "loss": "the new best loss",
    },
    "params": {
        "run_identity": _IDENTITY,
        "config_id": _CONFIG_ID,
        "name": "name of a parameter, from get_config or from the id itself",
        "value": "its value, a number where it is one",
    },
    "drivers": {
        "run_identity": _IDENTITY,
        "driver": "number of the hbtrack process that owned the search, growing",
        "host": "machine it ran on",
        "pid": "its process id there",
        "workers": "with how many workers; NULL if it only ended what ran",
        "started_at": f"when it took the search; {_TIME}",
        "seen_at": f"when it was last known to live; {_TIME}",
        "ended_at": f"when it let the search go; {_TIME}; NULL: it lives, or died without a word",
    },
    "data_dictionary": {
        "view": "name of a public view",
        "column": "name of one of its columns",
        "meaning": "what it says",
    },
}


_OUTDATED = """
CREATE TRIGGER ranks_outdated AFTER UPDATE OF best_loss, best_position ON config
WHEN old.best_loss IS NOT new.best_loss OR old.best_position IS NOT new.best_position
BEGIN
    UPDATE search SET ranked = 0 WHERE pk = new.search_pk AND ranked;
END"""

# What SQLite is told of our tables, as rows of an index per key: a search has many configs, a rung
# far fewer places, a config very few, and few attempts are open. Without it a view finds one config
# by way of all places, or one bracket by way of all configs.
_STATISTICS = (
    ("attempt", "uq_attempt_open", "8 1"),
    ("evaluation", "sqlite_autoindex_evaluation_1", "100000 2 1"),
    ("config", "sqlite_autoindex_config_1", "100000 10000 1"),
    ("place", "sqlite_autoindex_place_1", "150000 50 1"),
    ("place", "ix_place_config_pk", "150000 2"),
)


def create_statements() -> list[str]:
    """The statements that create all views, and what makes them fast."""
    views = {**VIEWS, "data_dictionary": _dictionary_view()}
    return [
        *(f"CREATE VIEW {name} AS {body.strip()}" for name, body in views.items()),
        _OUTDATED,
        "ANALYZE sqlite_master",  # makes the table of statistics
        "DELETE FROM sqlite_stat1",
        *(f"INSERT INTO sqlite_stat1 VALUES {row}" for row in _STATISTICS),
    ]


def drop_statements() -> list[str]:
    """The statements that remove what `create_statements` creates, whatever of it exists."""
    views = [f"DROP VIEW IF EXISTS {name}" for name in DICTIONARY]
    return [*views, "DROP TRIGGER IF EXISTS ranks_outdated"]


def _dictionary_view() -> str:
    rows = [
        f"({_literal(view)}, {_literal(column)}, {_literal(meaning)})"
        for view, columns in DICTIONARY.items()
        for column, meaning in columns.items()
    ]
    columns = 'column1 AS "view", column2 AS "column", column3 AS meaning'
    return f"SELECT {columns} FROM (VALUES {', '.join(rows)})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
