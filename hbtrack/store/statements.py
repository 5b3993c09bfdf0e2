"""The statements with which a driver writes: plain SQL by name, for it is what costs time."""

from hbtrack.core.attempt_states import FAILURES, OPEN, RESULTS, RETRIED, RUN_AGAIN
from hbtrack.core.derived import DERIVED_TABLES
from hbtrack.core.records import Limits, Resources
from hbtrack.database.views import RANKED_BY
from hbtrack.store.states import is_in, may_become
from hbtrack.store.streaks import TRIED

CONFIG = "(SELECT pk FROM _config WHERE search_pk = :search AND config_id = :config_id)"
EVALUATION = f"(SELECT pk FROM _evaluation WHERE config_pk = {CONFIG} AND epochs = :epochs)"


def assign(*columns: str) -> str:
    """Columns set to the values of the same names."""
    return ", ".join(f"{name} = :{name}" for name in columns)


_OBJECTIVE = "iif((SELECT maximize FROM _search WHERE pk = :search), 0.0 - a.loss, a.loss)"
"""As `turned` makes it."""

_RESOURCES = (*Resources.__dataclass_fields__, *Limits.__dataclass_fields__)

SQL = {
    "enter": f"INSERT INTO _place (rung_pk, slot, config_pk, position) "
    f"VALUES (:rung, :slot, {CONFIG}, :position)",
    "evaluation": f"INSERT INTO _evaluation (config_pk, epochs, place_pk, attempts) "
    f"VALUES ({CONFIG}, :epochs, (SELECT pk FROM _place WHERE rung_pk = :rung AND slot = :slot), 1)"
    " ON CONFLICT (config_pk, epochs) DO UPDATE SET attempts = attempts + 1, "
    "place_pk = excluded.place_pk"
    " RETURNING pk, attempts",
    # The key is the time, not the next number: an older copy of the file that is put back shall not
    # use a number again whose lock file, or script, is still there.
    "attempt": "INSERT INTO _attempt "
    "(pk, evaluation_pk, attempt, driver_pk, worker, gpu, status, watched, started_at, since_boot, "
    "max_epochs, epochs_before, script_version) "
    "VALUES (max(:microseconds, (SELECT coalesce(max(pk), 0) + 1 FROM _attempt)), "
    ":evaluation, :attempt, :driver, :worker, :gpu, 'running', 0, :now, :since_boot, :max_epochs, "
    ":epochs_before, :script_version) RETURNING pk",
    # An attempt that was told 0 found nothing: what was measured before is not in its checkpoint.
    "epochs_saved": "SELECT coalesce(max(e.epochs), 0) FROM _evaluation e "
    f"JOIN _attempt a ON a.evaluation_pk = e.pk WHERE e.config_pk = {CONFIG} "
    "AND a.status = 'done' AND a.pk >= (SELECT max(b.pk) FROM _evaluation f "
    f"JOIN _attempt b ON b.evaluation_pk = f.pk WHERE f.config_pk = {CONFIG} "
    "AND b.epochs_before = 0)",
    "last_attempt": "UPDATE _evaluation SET attempt_pk = :attempt WHERE pk = :evaluation",
    "ending": f"UPDATE _attempt SET status = :status WHERE pk = :attempt AND {may_become(OPEN)}",
    "end": "UPDATE _attempt SET "
    + assign("status", "watched", "pid", "exit_code", "signal", "loss", "error_type")
    + ", "
    + assign("error_message", "error", "fingerprint", "retried", "finished_at", "seconds")
    + ", "
    + assign("peak_memory", "cpu_seconds")
    + ", script_version = iif(:one_script, script_version, NULL)"
    + f" WHERE pk = :attempt AND {may_become(RESULTS | RUN_AGAIN)}",
    "metric": "INSERT INTO _metric (attempt_pk, name, value) VALUES (:attempt, :name, :value)",
    "output": "INSERT INTO _output (attempt_pk, stdout, stderr, log) "
    "VALUES (:attempt, :stdout, :stderr, :log)",
    "config": f"UPDATE _config SET seconds = seconds + :seconds, epochs_reached = CASE "
    f"WHEN :loss IS NULL THEN epochs_reached ELSE max(coalesce(epochs_reached, 0), :epochs) END "
    f"WHERE pk = {CONFIG}",
    "settle": f"UPDATE _place SET evaluation_pk = {EVALUATION} "
    f"WHERE rung_pk = :rung AND slot = :slot",
    # After a search was extended a place may find its result measured, but nobody's.
    "owner": f"UPDATE _evaluation SET place_pk = "
    f"(SELECT pk FROM _place WHERE rung_pk = :rung AND slot = :slot) WHERE pk = {EVALUATION}",
    # It was called for a place that asked for less, and so takes it only.
    "orphan": f"UPDATE _evaluation SET place_pk = NULL WHERE pk = {EVALUATION}",
    "best": f"UPDATE _config SET best_objective = {_OBJECTIVE}, best_epochs = e.epochs, "
    "best_position = :position FROM _evaluation e JOIN _attempt a ON a.pk = e.attempt_pk "
    f"WHERE e.pk = {EVALUATION} AND _config.pk = e.config_pk AND a.status = 'done' "
    "AND (_config.best_objective IS NULL "
    f"OR ({_OBJECTIVE}, :position) <= (_config.best_objective, _config.best_position))",
    "drop": "UPDATE _place SET promoted = 0 WHERE rung_pk = :rung",
    "promote": "UPDATE _place SET promoted = 1 WHERE rung_pk = :rung AND slot = :slot",
    "incumbent": "INSERT INTO _incumbent "
    "(search_pk, evaluation_pk, finished_at, epochs_spent, objective) "
    # What was taken back since was spent all the same.
    f"VALUES (:search, {EVALUATION}, :finished_at, max(:epochs_spent, coalesce("
    "(SELECT max(epochs_spent) FROM _incumbent WHERE search_pk = :search), 0)), :objective)",
    "rung_summary": f"UPDATE _rung SET {assign(*DERIVED_TABLES['rung'].columns)} WHERE pk = :rung",
    "bracket_summary": f"UPDATE _bracket SET {assign(*DERIVED_TABLES['bracket'].columns)} "
    "WHERE search_pk = :search AND pass = :pass_ AND first_epochs = :first_epochs",
    "search_summary": f"UPDATE _search SET {assign(*DERIVED_TABLES['search'].columns)} "
    "WHERE pk = :search",
    "driver": "INSERT INTO _driver (search_pk, fence, host, pid, python, script, script_args, "
    "script_sha256, command_head, command_tail, started_at, workers, isolated, boot_id, looks, "
    "rests_from) VALUES (:search, :fence, :host, :pid, :python, :script, :script_args, "
    ":script_sha256, :command_head, :command_tail, :now, :driver_workers, :isolated, :boot_id, 1, "
    "(SELECT rests_from FROM _driver WHERE search_pk = :search ORDER BY fence DESC LIMIT 1)) "
    "RETURNING pk",
    "script_version": "INSERT INTO _script_version "
    "(search_pk, number, script_sha256, files, seen_at) "
    "VALUES (:search, :number, :script_sha256, :files, :now)",
    "script_text": "INSERT INTO _script_text (sha256, text) VALUES (:sha256, :text) "
    "ON CONFLICT (sha256) DO NOTHING",
    "script_versions": "SELECT number, files FROM _script_version WHERE search_pk = :search "
    "ORDER BY number",
    # Drivers of before this was looked at had one version each.
    "last_script": "SELECT a.script_version, d.script, d.script_sha256 "
    "FROM _attempt a CROSS JOIN _driver d ON d.pk = a.driver_pk WHERE d.search_pk = :search "
    "AND (NOT d.looks OR a.script_version IS NOT NULL) ORDER BY a.pk DESC LIMIT 1",
    "heartbeat": "UPDATE _driver SET seen_at = :now, lived = :lived WHERE pk = :driver",
    "ran": "SELECT coalesce(a.seconds, 0.0), a.epochs_before FROM _evaluation e "
    f"JOIN _attempt a ON a.pk = e.attempt_pk WHERE e.pk = {EVALUATION}",
    # Asked once by each driver, and of the best configs, for a search may have very many; after
    # the searches, for mostly there is no other one of the script.
    "longer": "SELECT o.run_identity, c.config_id, e.epochs, m.epochs, a.loss "
    "FROM _search s CROSS JOIN _search o ON o.script = s.script AND o.pk <> s.pk CROSS JOIN "
    "(SELECT pk, config_id FROM _config WHERE search_pk = :search AND best_objective IS NOT NULL "
    "ORDER BY best_objective LIMIT 200) c "
    "CROSS JOIN _config d ON d.search_pk = o.pk AND d.config_id = c.config_id "
    "JOIN _evaluation e ON e.config_pk = c.pk JOIN _attempt a ON a.pk = e.attempt_pk "
    "JOIN _evaluation n ON n.config_pk = d.pk AND n.epochs = e.epochs "
    "JOIN _attempt b ON b.pk = n.attempt_pk "
    "JOIN _evaluation m ON m.config_pk = d.pk AND m.epochs > e.epochs "
    "JOIN _attempt f ON f.pk = m.attempt_pk WHERE s.pk = :search AND a.status = 'done' "
    "AND b.status = 'done' AND b.loss <> a.loss AND f.status = 'done' AND f.loss = a.loss "
    "GROUP BY o.pk, e.pk ORDER BY o.pk, e.pk",
    "found_checkpoints": "UPDATE _search SET found_checkpoints = :found WHERE pk = :search",
    "judged": "UPDATE _search SET judged = 1 WHERE pk = :search",
    "own": "UPDATE _search SET fence = fence + 1, "
    + assign("script", "script_sha256", "python", "cwd", *_RESOURCES)
    + ", "
    + "status = CASE status WHEN 'stopped' THEN 'unfinished' ELSE status END, stop_reason = NULL "
    "WHERE pk = :search RETURNING fence",
    "release": "UPDATE _driver SET ended_at = :now, lived = coalesce(:lived, lived) "
    "WHERE pk = :driver",
    "ranked": "UPDATE _search SET ranked = 1 WHERE pk = :search AND NOT ranked",
    "rank": "UPDATE _config SET rank = r.rank FROM (SELECT c.pk, row_number() "
    f"OVER (ORDER BY {RANKED_BY}) AS rank FROM _config c WHERE c.search_pk = :search "
    "AND c.best_objective IS NOT NULL) r WHERE _config.pk = r.pk AND _config.rank IS NOT r.rank",
    "status": "UPDATE _search SET status = :status, stop_reason = :reason, "
    "finished_at = :finished_at WHERE pk = :search",
    "lost": "SELECT count(*) FROM _attempt a JOIN _attempt own "
    "ON own.evaluation_pk = a.evaluation_pk "
    "WHERE own.pk = :attempt AND a.status = 'lost' AND a.watched",
    "retried": "SELECT count(*) FROM _attempt a JOIN _attempt own "
    "ON own.evaluation_pk = a.evaluation_pk WHERE own.pk = :attempt AND a.retried = 'automatic' "
    "AND a.attempt > coalesce((SELECT max(b.attempt) FROM _attempt b "
    "WHERE b.evaluation_pk = own.evaluation_pk AND b.retried = 'asked'), 0)",
    "withdraw": f"UPDATE _attempt SET retried = :why WHERE pk = "
    f"(SELECT attempt_pk FROM _evaluation WHERE pk = {EVALUATION}) AND {is_in(FAILURES)}",
    "tried": f"SELECT {TRIED} FROM _attempt a WHERE a.pk = :attempt",
    "rest": "UPDATE _driver SET rests_until = :until, rests_because = :because, "
    "rests_from = :since WHERE pk = :driver",
    "outage": "UPDATE _driver SET rests_until = :until, rests_because = :because "
    "WHERE pk = :driver",
    "fingerprint": f"SELECT a.fingerprint, a.error FROM _evaluation e "
    f"JOIN _attempt a ON a.pk = e.attempt_pk WHERE e.pk = {EVALUATION}",
    "fence": "SELECT fence FROM _search WHERE pk = :search",
    "ends": "SELECT a.finished_at, a.driver_pk, a.gpu, c.config_id, e.epochs, a.status, "
    "a.error_type, a.error_message, a.error FROM _attempt a JOIN _driver d ON d.pk = a.driver_pk "
    "JOIN _evaluation e ON e.pk = a.evaluation_pk JOIN _config c ON c.pk = e.config_pk "
    "WHERE d.search_pk = :search AND d.host = :host AND "
    f"{is_in(RESULTS | RETRIED, 'a.')} ORDER BY a.pk DESC LIMIT 200",
}
