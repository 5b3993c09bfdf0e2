"""`hbtrack db check`: recompute everything that follows from the facts, and compare.

The plan is rebuilt from the recorded losses as at every start; what the database says beyond the
losses (who was promoted, whose result counts where, every summary row) must be what it arrives at.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from math import isclose

from hbtrack.core.attempt_states import RESULTS
from hbtrack.core.decisions import Done
from hbtrack.core.derived import DERIVED_TABLES, derive
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Facts, Limits, turned
from hbtrack.core.schedule import make_schedule, parse_eta
from hbtrack.database.views import RANKED_BY
from hbtrack.driver.rest import streak_of
from hbtrack.errors import HbtrackError
from hbtrack.store.derived import Difference, begun, differences
from hbtrack.store.durations import Rows
from hbtrack.store.facts import load_facts
from hbtrack.store.reading import Row, connected, match_identity, rows
from hbtrack.store.states import is_in
from hbtrack.text import budget

_ATTEMPTS = f"""
SELECT c.config_id, e.epochs, e.attempts, count(*) AS counted, max(a.attempt) AS largest,
    max(a.pk) AS last, e.attempt_pk,
    sum(a.finished_at IS NULL OR {is_in(RESULTS, "a.")}) AS standing
FROM _attempt a
    JOIN _evaluation e ON e.pk = a.evaluation_pk JOIN _config c ON c.pk = e.config_pk
WHERE c.search_pk = ? GROUP BY e.pk"""

_MISPLACED = f"""
SELECT config_id FROM (
    SELECT c.config_id, c.rank, row_number() OVER (ORDER BY {RANKED_BY}) AS counted
    FROM _config c WHERE c.search_pk = ? AND c.best_objective IS NOT NULL
) WHERE rank IS NOT counted"""

_SECONDS = """
SELECT c.config_id, c.seconds, total(a.seconds) AS spent
FROM _config c
    LEFT JOIN _evaluation e ON e.config_pk = c.pk LEFT JOIN _attempt a ON a.evaluation_pk = e.pk
WHERE c.search_pk = ? GROUP BY c.pk"""

_INCUMBENTS = """
SELECT i.objective, i.epochs_spent, i.finished_at, a.loss AS measured, a.finished_at AS ended,
    EXISTS (SELECT * FROM _attempt t JOIN _driver d ON d.pk = t.driver_pk
        WHERE d.search_pk = i.search_pk AND t.retried IS NOT NULL) AS taken_back
FROM _incumbent i LEFT JOIN _evaluation e ON e.pk = i.evaluation_pk
    LEFT JOIN _attempt a ON a.pk = e.attempt_pk
WHERE i.search_pk = ? ORDER BY i.pk"""

_MISNUMBERED = """
SELECT config_id FROM (
    SELECT config_id, number, row_number() OVER (ORDER BY pk) AS counted
    FROM _config WHERE search_pk = ?
) WHERE number IS NOT counted LIMIT 1"""

_VERSIONS = "SELECT number, files FROM _script_version WHERE search_pk = ? ORDER BY number"

_RAN = """
SELECT DISTINCT a.script_version AS number FROM _attempt a JOIN _driver d ON d.pk = a.driver_pk
WHERE d.search_pk = ? AND a.script_version IS NOT NULL"""


def check_database(option: str | None, identity: str | None) -> list[str]:
    """What is wrong with the file or with the searches that match, a sentence each."""
    with connected(option) as connection:
        problems = [
            f"SQLite's integrity check: {row[0]}"
            for row in connection.execute("PRAGMA integrity_check")
            if row[0] != "ok"
        ]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        problems += [f"A row of {row[0]} refers to a {row[2]} that is not there." for row in broken]
        problems += _check_texts(connection)
        connection.execute("BEGIN")  # one moment of a search that may be running
        searches = {row["run_identity"]: row for row in rows(connection, "SELECT * FROM _search")}
        for name in match_identity(list(searches), identity) if searches else []:
            problems += [f"{name}: {text}" for text in _check_search(connection, searches[name])]
    return problems


def _check_search(connection: sqlite3.Connection, search: Row) -> Iterator[str]:
    cursor = connection.cursor()
    cursor.row_factory = None
    facts = load_facts(cursor.execute, search["pk"])
    try:
        schedule = make_schedule(
            search["max_epochs"], parse_eta(search["eta"]), search["min_epochs"]
        )
        plan = rebuild(schedule, search["passes"], facts)
        for attempt in facts.open_attempts:
            plan.start(plan.place_of(attempt.config_id, attempt.epochs))
    except (HbtrackError, ValueError, LookupError) as error:
        yield f"its facts contradict each other: {error}"
        return

    def of(sql: str) -> list[Row]:
        return rows(connection, sql, [search["pk"]])

    if problem := _status_problem(cursor.execute, search, plan, facts):
        yield problem
    follows = derive(plan, begun(cursor.execute, search["pk"]))
    for difference in differences(cursor.execute, search["pk"], follows):
        yield from _told(difference)
    yield from _check_attempts(of(_ATTEMPTS), facts)
    yield from _check_seconds(of(_SECONDS))
    for row in of(_MISNUMBERED):
        yield f"the number of config {row['config_id']!r} is not that of its order"
    if search["ranked"] and (misplaced := of(_MISPLACED)):
        yield f"the rank of config {misplaced[0]['config_id']!r} is not that of its loss"
    yield from _check_incumbents(of(_INCUMBENTS), search)
    yield from _check_versions([row["number"] for row in of(_VERSIONS)], of(_RAN))


def _status_problem(query: Rows, search: Row, plan: Plan, facts: Facts) -> str | None:
    """Whether it is finished, as it says: with nothing to do, and no failure that is doubted."""
    says, done = search["status"] == "finished", isinstance(plan.next(), Done)
    if says and not done:
        return "its status is finished, but it is not finished"
    limits = Limits(max_streak=search["max_streak"], retry_on=tuple(json.loads(search["retry_on"])))
    if done and not says and not streak_of(query, search["pk"], limits, facts).doubted:
        return f"its status is {search['status']}, but it is finished"
    return None


def _told(one: Difference) -> Iterator[str]:
    """A row that is not what follows from the facts, a sentence for each column."""
    name = f"{one.table} {one.key}" if one.key else one.table
    if one.stored is None or one.must is None:
        yield f"{name} is {'missing' if one.must else 'there, but does not follow from the facts'}"
        return
    columns = DERIVED_TABLES[one.table].columns
    for column, stored, must in zip(columns, one.stored, one.must, strict=True):
        if stored != must:
            yield f"{name} has {column} {stored!r}, but {must!r} follows from the facts"


def _check_attempts(attempts: list[Row], facts: Facts) -> Iterator[str]:
    """Numbers without gaps, at most one open, at most one result, the last one pointed to."""
    for row in attempts:
        evaluation = f"{row['config_id']!r} at {budget(row['epochs'])}"
        numbered = row["attempts"] == row["counted"] == row["largest"]
        if not (numbered and row["last"] == row["attempt_pk"]):
            yield f"the attempts of {evaluation} are not in order"
        if row["standing"] > 1:
            yield f"{evaluation} was accepted twice"
    if len({attempt.config_id for attempt in facts.open_attempts}) < len(facts.open_attempts):
        yield "two attempts of one config are open at once"


def _check_seconds(configs: list[Row]) -> Iterator[str]:
    for row in configs:
        if not isclose(row["seconds"], row["spent"], abs_tol=1e-6):
            yield f"the seconds of config {row['config_id']!r} are not those of its attempts"


def _check_versions(numbers: list[int], ran: list[Row]) -> Iterator[str]:
    """Every version that ran is there, and their numbers have no gaps."""
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the versions of its script are numbered {numbers}"
    for row in ran:
        if row["number"] not in numbers:
            yield f"version {row['number']} of its script ran, but is not there"


def _check_texts(connection: sqlite3.Connection) -> Iterator[str]:
    """Each text of a script is that of its hash."""
    for row in rows(connection, "SELECT sha256, text FROM _script_text", []):
        if hashlib.sha256(row["text"].encode()).hexdigest() != row["sha256"]:
            yield f"The text of the script with the hash {row['sha256']} is another one."


def _check_incumbents(incumbents: list[Row], search: Row) -> Iterator[str]:
    """Each is what was measured, better than the one before, and the last is the best."""
    best, spent = float("inf"), 0
    for row in incumbents:
        measured = turned(row["measured"], maximize=search["maximize"])
        same = (row["objective"], row["finished_at"]) == (measured, row["ended"])
        # What was taken back had its epochs counted.
        most = float("inf") if row["taken_back"] else search["epochs_done"]
        grown = spent <= row["epochs_spent"] <= most
        if not (same and grown and row["objective"] < best):
            loss = turned(row["objective"], maximize=search["maximize"])
            yield f"the incumbent with loss {loss!r} does not follow from the results"
        best, spent = row["objective"], row["epochs_spent"]
    if (best if incumbents else None) != search["best_objective"]:
        yield "the last incumbent is not the best of the search"
