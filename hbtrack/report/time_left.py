"""How long a running search still takes, from the database alone."""

import sqlite3
import time
from itertools import islice

from hbtrack.core.estimate import LATEST, Pace, Range, bound, time_left
from hbtrack.core.rebuild import rebuild
from hbtrack.core.schedule import make_schedule, parse_eta
from hbtrack.core.times import unix
from hbtrack.errors import HbtrackError
from hbtrack.store.durations import measured
from hbtrack.store.facts import load_facts, open_attempts
from hbtrack.store.reading import Row, rows

LARGE = 5000
"""Above so many places the time left is estimated without rebuilding the plan, which takes long."""

_WORKERS = "SELECT workers FROM _driver WHERE search_pk = ? ORDER BY fence DESC LIMIT 1"


def remaining(connection: sqlite3.Connection, run_identity: str) -> Range | None:
    """How long a running search still takes; None where nobody can tell yet."""
    outermost = not connection.in_transaction
    if outermost:
        connection.execute("BEGIN")  # one moment of a search that goes on
    try:
        sql = "SELECT * FROM _search WHERE run_identity = ?"
        (search,) = rows(connection, sql, [run_identity])
        return _estimated(connection, search)
    except (HbtrackError, ValueError, LookupError):
        return None  # the facts contradict each other: `hbtrack db check` says how
    finally:
        if outermost:
            connection.rollback()


def _estimated(connection: sqlite3.Connection, search: Row) -> Range | None:
    schedule = make_schedule(search["max_epochs"], parse_eta(search["eta"]), search["min_epochs"])
    workers = _workers(connection, search)
    cursor = connection.cursor()
    cursor.row_factory = None
    pace = Pace(islice(measured(cursor.execute, search["pk"]), LATEST))
    now = time.time()
    elapsed = {
        (attempt.config_id, attempt.epochs): max(0.0, now - unix(attempt.started_at))
        for attempt in open_attempts(cursor.execute, search["pk"])
    }
    if search["evaluations_planned"] > LARGE:
        ended = search["evaluations_done"] + search["evaluations_failed"]
        evaluations = search["evaluations_planned"] - ended
        epochs = search["epochs_planned"] - search["epochs_done"]
        line, gone = pace.line(), sum(elapsed.values())
        return bound(schedule, evaluations, epochs, workers, line, gone) if line else None
    plan = rebuild(schedule, search["passes"], load_facts(cursor.execute, search["pk"]))
    places = {plan.place_of(*evaluation): gone for evaluation, gone in elapsed.items()}
    for place in places:
        plan.start(place)
    return time_left(plan, workers, pace, places)


def _workers(connection: sqlite3.Connection, search: Row) -> int:
    """With how many workers the present driver runs."""
    found = [row["workers"] for row in rows(connection, _WORKERS, [search["pk"]])]
    return next(filter(None, [*found, search["workers"]]), 1)
