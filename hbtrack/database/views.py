"""The public views: the interface of the file. Within a major version they only gain columns.

The upgrade drops the views first and creates these again at its end, so a change here needs a new
revision, be it an empty one.
"""

from hbtrack.database.dictionary import DICTIONARY, TAIL

# A config_id as a shell would need it, like shlex.quote.
_QUOTED_ID = """CASE WHEN c.config_id GLOB '*[^A-Za-z0-9@%+=:,./_-]*'
        THEN '''' || replace(c.config_id, '''', '''"''"''') || ''''
        ELSE c.config_id END"""

_HAS_NO_LOSS = "a.status IN ('failed', 'timeout')"

_EVALUATION_STATUS = f"""CASE
        WHEN a.pk IS NULL THEN 'waiting'
        WHEN a.finished_at IS NULL THEN 'running'
        WHEN a.status = 'done' THEN 'done'
        WHEN {_HAS_NO_LOSS} AND a.retried IS NULL THEN 'failed'
        ELSE 'waiting' END"""

_HAS_FAILED = f"{_HAS_NO_LOSS} AND a.finished_at IS NOT NULL AND a.retried IS NULL"

RANKED_BY = "c.best_objective, c.best_position, c.config_id"
"""The order of the leaderboard. Without a place (position) configs come last, by their ids."""

_BEST_BRACKET = """(SELECT b.rungs - 1 FROM _evaluation e
        JOIN _place p ON p.pk = e.place_pk
        JOIN _rung g ON g.pk = p.rung_pk
        JOIN _bracket b ON b.pk = g.bracket_pk
        WHERE e.config_pk = c.pk AND e.epochs = c.best_epochs)"""

_USED = f"c.best_position < {1 << 62}"
"""Whether the result that ranks a config counts at some place: others come after all places."""


def _turned(value: str, maximize: str = "s.maximize") -> str:
    """The loss of an objective, or the objective of a loss.

    The CAST changes no number: it says that this is one, to comparisons and to typed clients. REAL
    would be a number of four bytes to DuckDB, which runs these views itself.
    """
    return f"CAST(CASE WHEN {maximize} THEN 0.0 - {value} ELSE {value} END AS DOUBLE PRECISION)"


_LOSS = f"CAST(CASE WHEN {_HAS_FAILED} THEN s.failure_loss ELSE a.loss END AS DOUBLE PRECISION)"

VIEWS: dict[str, str] = {
    "searches": f"""
SELECT s.run_identity, s.status, s.script, s.script_args, s.max_epochs,
    CAST(s.eta AS NUMERIC) AS eta, s.seed, s.passes, s.failure_loss,
    s.evaluations_planned, s.evaluations_done, s.evaluations_failed,
    s.epochs_planned, s.epochs_done, {_turned("s.best_objective")} AS best_loss,
    s.best_config_id, s.best_epochs,
    s.created_at, s.finished_at, s.stop_reason, s.timeout, s.retries, s.max_failures, s.max_time,
    s.target_loss, s.max_streak, s.max_rest, s.checkpoints, s.script_changes,
    s.maximize, s.min_epochs, s.best_objective
FROM _search s""",
    "brackets": f"""
SELECT s.run_identity, b.pass, b.rungs - 1 AS bracket, b.status, b.configs, b.rungs,
    b.evaluations_planned, b.evaluations_done, {_turned("b.best_objective")} AS best_loss,
    b.best_objective
FROM _bracket b JOIN _search s ON s.pk = b.search_pk""",
    "rungs": f"""
SELECT s.run_identity, b.pass, b.rungs - 1 AS bracket, r.rung, r.epochs,
    r.configs_planned, r.configs_entered, r.done, r.failed,
    (SELECT count(*) FROM _attempt a CROSS JOIN _evaluation e CROSS JOIN _place p
        WHERE e.pk = a.evaluation_pk AND p.pk = e.place_pk
            AND a.finished_at IS NULL AND p.rung_pk = r.pk) AS running,
    r.promoted, {_turned("r.best_objective")} AS best_loss,
    {_turned("r.cutoff_objective")} AS cutoff_loss, r.best_objective, r.cutoff_objective
FROM _rung r JOIN _bracket b ON b.pk = r.bracket_pk JOIN _search s ON s.pk = b.search_pk""",
    "results": f"""
SELECT s.run_identity, b.pass, b.rungs - 1 AS bracket, r.rung, p.slot, c.config_id, r.epochs,
    {_EVALUATION_STATUS} AS status,
    {_LOSS} AS loss,
    p.promoted,
    CASE WHEN e.pk IS NULL THEN NULL WHEN e.place_pk = p.pk THEN 0 ELSE 1 END AS reused,
    coalesce(e.attempts, 0) AS attempts, a.gpu, d.host, a.started_at, a.finished_at, a.seconds,
    a.error, {_turned(_LOSS)} AS objective, c.number AS config
FROM _place p
    JOIN _rung r ON r.pk = p.rung_pk
    JOIN _bracket b ON b.pk = r.bracket_pk
    JOIN _search s ON s.pk = b.search_pk
    JOIN _config c ON c.pk = p.config_pk AND c.search_pk = s.pk  -- so one config is found at once
    LEFT JOIN _evaluation e ON e.pk = p.evaluation_pk
    LEFT JOIN _attempt a ON a.pk = e.attempt_pk
    LEFT JOIN _driver d ON d.pk = a.driver_pk""",
    "attempts": f"""
SELECT s.run_identity, c.config_id, e.epochs, a.attempt, a.status, a.loss, a.exit_code, a.signal,
    a.gpu, d.host, a.pid,
    CASE d.isolated WHEN 1 THEN 'CUDA_VISIBLE_DEVICES=' || a.gpu || ' ' ELSE '' END
        || d.command_head || ' ' || {_QUOTED_ID} || ' --epochs ' || e.epochs || ' --gpu '
        || CASE WHEN d.isolated THEN '0' WHEN instr(a.gpu, ',') = 0 THEN a.gpu
            ELSE substr(a.gpu, 1, instr(a.gpu, ',') - 1) END
        || CASE instr(a.gpu, ',') WHEN 0 THEN '' ELSE ' --multi_gpu' END
        || d.command_tail AS command,
    CASE WHEN d.looks THEN (SELECT v.script_sha256 FROM _script_version v
            WHERE v.search_pk = s.pk AND v.number = a.script_version)
        ELSE d.script_sha256 END AS script_sha256,
    a.started_at, a.finished_at, a.seconds, a.error,
    substr(o.stdout, -{TAIL}) AS stdout_tail, substr(o.stderr, -{TAIL}) AS stderr_tail,
    a.retried, a.worker, a.max_epochs, {_turned("a.loss")} AS objective, c.number AS config,
    a.peak_memory, a.cpu_seconds
FROM _attempt a
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
    JOIN _search s ON s.pk = c.search_pk
    JOIN _driver d ON d.pk = a.driver_pk
    LEFT JOIN _output o ON o.attempt_pk = a.pk""",
    "failures": f"""
SELECT s.run_identity, c.config_id, e.epochs, b.rungs - 1 AS bracket, r.rung,
    a.error_type, a.error_message, a.error, e.attempts, a.finished_at, a.fingerprint,
    c.number AS config
FROM _attempt a
    JOIN _driver d ON d.pk = a.driver_pk
    JOIN _search s ON s.pk = d.search_pk
    JOIN _evaluation e ON e.pk = a.evaluation_pk AND e.attempt_pk = a.pk
    JOIN _config c ON c.pk = e.config_pk AND c.search_pk = s.pk  -- so one config is found at once
    LEFT JOIN _place p ON p.pk = e.place_pk
    LEFT JOIN _rung r ON r.pk = p.rung_pk
    LEFT JOIN _bracket b ON b.pk = r.bracket_pk
WHERE {_HAS_FAILED}""",
    # Where the ranks are stored they are read in order. Else they are counted along an index that
    # has all that ranks configs, and what else one has is looked up only for the rows asked for.
    # The CAST gives both halves one affinity, without which SQLite would not merge them in order.
    "leaderboard": f"""
SELECT s.run_identity, c.rank, c.config_id, {_turned("c.best_objective")} AS loss,
    c.best_epochs AS epochs, c.epochs_reached, {_BEST_BRACKET} AS bracket, c.seconds,
    {_USED} AS used, c.best_objective AS objective, c.number AS config
FROM _search s JOIN _config c ON c.search_pk = s.pk
WHERE s.ranked AND c.rank IS NOT NULL
UNION ALL
SELECT r.run_identity, CAST(r.rank AS INTEGER), r.config_id, {_turned("r.objective", "r.maximize")},
    (SELECT c.best_epochs FROM _config c WHERE c.pk = r.pk),
    (SELECT c.epochs_reached FROM _config c WHERE c.pk = r.pk),
    (SELECT {_BEST_BRACKET} FROM _config c WHERE c.pk = r.pk),
    (SELECT c.seconds FROM _config c WHERE c.pk = r.pk),
    (SELECT {_USED} FROM _config c WHERE c.pk = r.pk), r.objective,
    (SELECT c.number FROM _config c WHERE c.pk = r.pk)
FROM (SELECT s.run_identity, s.maximize, c.pk, c.config_id, c.best_objective AS objective,
        row_number() OVER (PARTITION BY s.run_identity ORDER BY {RANKED_BY}) AS rank
    FROM _search s CROSS JOIN _config c
    WHERE c.search_pk = s.pk AND c.best_objective IS NOT NULL AND NOT s.ranked) r""",
    "incumbents": f"""
SELECT s.run_identity, i.finished_at, i.epochs_spent, c.config_id, e.epochs,
    {_turned("i.objective")} AS loss, i.objective, c.number AS config
FROM _incumbent i
    JOIN _search s ON s.pk = i.search_pk
    JOIN _evaluation e ON e.pk = i.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk""",
    "params": """
SELECT s.run_identity, c.config_id, m.name, m.value,
    CASE WHEN typeof(m.value) IN ('integer', 'real')
        THEN CAST(m.value AS DOUBLE PRECISION) END AS number,
    CASE typeof(m.value) WHEN 'blob' THEN hex(m.value) ELSE CAST(m.value AS TEXT) END AS text,
    c.number AS config
FROM _param m JOIN _config c ON c.pk = m.config_pk JOIN _search s ON s.pk = c.search_pk""",
    "metrics": """
SELECT s.run_identity, c.config_id, e.epochs, m.name, m.value, c.number AS config
FROM _metric m
    JOIN _attempt a ON a.pk = m.attempt_pk AND a.status = 'done'
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
    JOIN _search s ON s.pk = c.search_pk""",
    "drivers": """
SELECT s.run_identity, d.fence AS driver, d.host, d.pid, d.workers, d.started_at, d.seen_at,
    d.ended_at, d.rests_until, d.rests_because
FROM _driver d JOIN _search s ON s.pk = d.search_pk""",
}


def definitions() -> dict[str, str]:
    """The queries behind all views, the data dictionary's included."""
    return {**VIEWS, "data_dictionary": _dictionary_view()}


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
