"""`hbtrack status`: every search in a line, as it is now."""

import argparse
import sqlite3
import time
from datetime import datetime

from hbtrack.cli import tables
from hbtrack.database.location import database_path
from hbtrack.errors import HbtrackError
from hbtrack.estimate import LATEST, Pace, Range, bound, time_left
from hbtrack.plan import rebuild
from hbtrack.reading import Row, connected, match_identity, rows, state_of
from hbtrack.schedule import make_schedule, parse_eta
from hbtrack.store.facts import load_facts

LARGE = 5000
"""Above so many places the time left is estimated without rebuilding the plan, which takes long."""

_QUERY = """
SELECT run_identity, status, epochs_done, epochs_planned, evaluations_done, evaluations_failed,
    evaluations_planned, best_loss, best_config_id, best_epochs, created_at, finished_at
FROM searches"""

_MEASURED = f"""
SELECT e.epochs - coalesce((SELECT max(below.epochs) FROM evaluation below
        WHERE below.config_pk = e.config_pk AND below.epochs < e.epochs), 0), a.seconds
FROM attempt a JOIN evaluation e ON e.pk = a.evaluation_pk JOIN config c ON c.pk = e.config_pk
WHERE c.search_pk = ? AND a.status = 'done' AND a.seconds IS NOT NULL
ORDER BY a.pk DESC LIMIT {LATEST}"""

_OPEN = """
SELECT c.config_id, e.epochs, a.started_at
FROM attempt a JOIN evaluation e ON e.pk = a.evaluation_pk JOIN config c ON c.pk = e.config_pk
WHERE a.finished_at IS NULL AND c.search_pk = ?"""

COLUMNS = (
    "run_identity",
    "state",
    "epochs",
    "evaluations",
    "failed",
    "best_loss",
    "best_epochs",
    "best_config_id",
    "left",
    "driver",
)


def main(args: argparse.Namespace) -> int:
    """Show the searches; exit 3 when `--identity` matches none."""
    with connected(args.db) as connection:
        searches = {row["run_identity"]: row for row in rows(connection, _QUERY)}
        chosen = match_identity(list(searches), args.identity)
        states = {name: state_of(connection, database_path(args.db), name) for name in chosen}
        running = [name for name in chosen if states[name].word == "running"]
        lefts = {name: _left(connection, name) for name in running}
    if args.format == "json":
        content = [
            {
                **searches[name],
                "state": states[name].word,
                "left_low": left.low if (left := lefts.get(name)) else None,
                "left_high": left.high if left else None,
                "driver": {"host": owner.host, "pid": owner.pid, "since": owner.since}
                if (owner := states[name].owner)
                else None,
            }
            for name in chosen
        ]
        tables.write(tables.document("hbtrack.status/1", searches=content))
        return 0
    lines = [
        {
            **searches[name],
            "state": states[name].word,
            "epochs": f"{searches[name]['epochs_done']}/{searches[name]['epochs_planned']}",
            "evaluations": f"{_ended(searches[name])}/{searches[name]['evaluations_planned']}",
            "failed": searches[name]["evaluations_failed"],
            "left": str(lefts.get(name) or ""),
            "driver": str(states[name].owner or ""),
        }
        for name in chosen
    ]
    columns: tuple[str, ...] = COLUMNS
    if args.format == "simple":
        lines = [{**line, "best_loss": tables.rounded(line["best_loss"])} for line in lines]
        columns = COLUMNS if any(line["driver"] for line in lines) else COLUMNS[:-2]
    tables.write(tables.table(lines, args.format, columns))
    return 0


def _ended(search: Row) -> int:
    return int(search["evaluations_done"] + search["evaluations_failed"])


def _left(connection: sqlite3.Connection, run_identity: str) -> Range | None:
    """How long a running search still takes; None where nobody can tell yet."""
    connection.execute("BEGIN")  # one moment of a search that goes on
    try:
        sql = "SELECT * FROM search WHERE run_identity = ?"
        (search,) = rows(connection, sql, [run_identity])
        return _estimated(connection, search)
    except (HbtrackError, ValueError, LookupError):
        return None  # the facts contradict each other: `hbtrack db check` says how
    finally:
        connection.rollback()


def _estimated(connection: sqlite3.Connection, search: Row) -> Range | None:
    schedule = make_schedule(search["max_epochs"], parse_eta(search["eta"]))
    workers = _workers(connection, search)
    cursor = connection.cursor()
    cursor.row_factory = None
    pace = Pace(cursor.execute(_MEASURED, [search["pk"]]))
    now = time.time()
    elapsed = {
        (config_id, epochs): max(0.0, now - datetime.fromisoformat(started_at).timestamp())
        for config_id, epochs, started_at in cursor.execute(_OPEN, [search["pk"]])
    }
    if search["evaluations_planned"] > LARGE:
        evaluations = search["evaluations_planned"] - _ended(search)
        epochs = search["epochs_planned"] - search["epochs_done"]
        line, gone = pace.line(), sum(elapsed.values())
        return bound(schedule, evaluations, epochs, workers, line, gone) if line else None
    plan = rebuild(schedule, search["passes"], load_facts(cursor.execute, search["pk"]))
    places = {plan.place_of(*evaluation): gone for evaluation, gone in elapsed.items()}
    for place in places:
        plan.start(place)
    return time_left(plan, workers, pace, places)


def _workers(connection: sqlite3.Connection, search: Row) -> int:
    """With how many workers the present driver runs; older databases know only what was typed."""
    columns = {row["name"] for row in rows(connection, "PRAGMA table_info(driver)")}
    known = None
    if "workers" in columns:
        sql = "SELECT workers FROM driver WHERE search_pk = ? ORDER BY fence DESC LIMIT 1"
        known = next((row["workers"] for row in rows(connection, sql, [search["pk"]])), None)
    return int(known or search["workers"] or 1)
