"""Read from the public views what a page is made from. The queries are shown on the page, too."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from math import isfinite
from pathlib import Path

from hbtrack.core.times import unix
from hbtrack.report.comparability import found_checkpoints, told_max_epochs
from hbtrack.report.config import read_config, working_directory
from hbtrack.report.failures import failure_groups
from hbtrack.report.page.facts import CAUSES, DriverRun, PageFacts, Used
from hbtrack.report.ranking import params_of
from hbtrack.report.script_changes import script_changes
from hbtrack.report.snapshot import Attempt, read_attempts, read_now, read_results
from hbtrack.store.reading import Row, rows
from hbtrack.text import printable

CONFIGS = 20_000
"""The parameters of at most so many configs are read, besides those of the best."""

RUNGS = """
SELECT pass, bracket, rung, epochs, configs_entered, done, failed, promoted, best_loss, cutoff_loss,
    best_objective
FROM rungs WHERE run_identity = :identity ORDER BY pass, bracket DESC, rung"""

INCUMBENTS = """
SELECT finished_at, epochs_spent, config, epochs, loss, config_id
FROM incumbents WHERE run_identity = :identity ORDER BY finished_at, epochs_spent"""

DRIVERS = """
SELECT driver, host, workers, started_at, seen_at, ended_at
FROM drivers WHERE run_identity = :identity ORDER BY driver"""

LEADERBOARD = """
SELECT rank, config, loss, epochs, epochs_reached, bracket, seconds, objective, config_id,
    count(*) OVER () AS ranked
FROM leaderboard WHERE run_identity = :identity ORDER BY rank LIMIT 300"""


METRICS = """
SELECT config_id, epochs, name, value FROM metrics
WHERE run_identity = :identity AND config_id IN (SELECT value FROM json_each(:configs))"""

USED = """
SELECT worker, max(peak_memory) AS peak_memory, sum(cpu_seconds) AS cpu_seconds
FROM attempts WHERE run_identity = :identity GROUP BY worker"""


def gather(connection: sqlite3.Connection, path: Path, identity: str, now: float) -> PageFacts:
    """All facts of a search; the caller has begun the transaction that makes them one moment.

    `path` is the database's, `now` the Unix time to show as the moment of writing.
    """
    read = partial(_read, connection, identity)
    search, state, left = read_now(connection, path, identity)
    attempts = list(read_attempts(connection, identity))
    drivers = read(DRIVERS)
    seen = now if state == "running" else _last_known(search, attempts, drivers)
    until = now if state == "orphaned" else seen
    results = list(read_results(connection, identity))
    sampled = dict.fromkeys(one.config_id for one in results if one.rung == 0)
    leaders, best = read(LEADERBOARD), search["best_config_id"]
    # Those sampled first are as good a sample as any.
    known = [*islice(sampled, CONFIGS), *(row["config_id"] for row in leaders)]
    return PageFacts(
        search=search,
        state=state,
        left=left,
        database=str(path),
        cwd=working_directory(connection, identity),
        written_at=now,
        until=until,
        rungs=read(RUNGS),
        results=results,
        incumbents=read(INCUMBENTS),
        leaders=leaders,
        params=params_of(connection, identity, known),
        sampled=len(sampled) > CONFIGS,
        metrics=_metrics(connection, identity, leaders),
        used={row.pop("worker"): Used(**row) for row in read(USED)},
        attempts=[_closed(one, until, state) for one in attempts],
        drivers=_driver_runs(drivers, seen, state),
        failures=failure_groups(connection, identity, CAUSES + 1),
        edits=script_changes(connection, identity),
        best_command=read_config(connection, path, identity, best).command if best else None,
        found_checkpoints=found_checkpoints(connection, identity),
        told=told_max_epochs(connection, identity, search["max_epochs"]),
    )


def _read(connection: sqlite3.Connection, identity: str, sql: str) -> list[Row]:
    return rows(connection, sql, {"identity": identity})


def _metrics(
    connection: sqlite3.Connection, identity: str, leaders: Sequence[Row]
) -> dict[str, dict[str, float]]:
    """What was measured beside the loss that ranks each of them."""
    at = {row["config_id"]: row["epochs"] for row in leaders}
    found: dict[str, dict[str, float]] = {}
    for row in rows(connection, METRICS, {"identity": identity, "configs": json.dumps(list(at))}):
        if row["epochs"] == at[row["config_id"]]:
            found.setdefault(row["config_id"], {})[row["name"]] = row["value"]
    return found


def _closed(one: Attempt, until: float, state: str) -> Attempt:
    """The same with an end. Where no script is alive nobody has settled what it came to."""
    if isfinite(one.end):
        return one
    status = one.status if state in ("running", "orphaned") else "not settled"
    return replace(one, end=max(one.start, until), status=status)


def _last_known(search: Row, attempts: Sequence[Attempt], drivers: Sequence[Row]) -> float:
    times = [row[name] for row in drivers for name in ("started_at", "seen_at", "ended_at")]
    moments = [unix(text) for text in (*times, search["created_at"], search["finished_at"]) if text]
    ends = [one.end if isfinite(one.end) else one.start for one in attempts]
    return max([*moments, *ends])


def _driver_runs(drivers: Sequence[Row], seen: float, state: str) -> list[DriverRun]:
    """The drivers; one that has not said when it ended was there until it was last seen."""
    found = []
    for row in drivers:
        start, is_last = unix(row["started_at"]), row is drivers[-1]
        silent = not row["ended_at"]
        known = unix(row["ended_at"] or row["seen_at"] or row["started_at"])
        end = max(start, seen if silent and is_last else known)
        silent = silent and not (is_last and state == "running")
        run = DriverRun(row["driver"], row["host"], row["workers"], start, end, silent=silent)
        found.append(run)
    return found


def shown(sql: str, identity: str) -> str:
    """The query with the identity written out: what can be typed into any SQLite program."""
    return sql.strip().replace(":identity", _literal(identity))


def _literal(text: str) -> str:
    """The text in SQL; characters that cannot be seen are named by their number."""
    quoted = (
        f"' || char({ord(character)}) || '"
        if printable(character) != character
        else character.replace("'", "''")
        for character in text
    )
    return f"'{''.join(quoted)}'"
