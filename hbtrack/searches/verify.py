"""`hbtrack db check`: recompute everything that follows from the facts, and compare.

The plan is rebuilt from the recorded losses as at every start; what the database says beyond the
losses (who was promoted, whose result counts where, every summary row) must be what it arrives at.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any

from hbtrack.core.decisions import Done
from hbtrack.core.plan import Plan
from hbtrack.core.rebuild import rebuild
from hbtrack.core.records import Facts, Place, RungKey, Settled, rung_of
from hbtrack.core.schedule import Schedule, make_schedule, parse_eta
from hbtrack.core.summary import summarise
from hbtrack.database.views import RANKED_BY
from hbtrack.errors import HbtrackError
from hbtrack.store.derived import ORPHAN
from hbtrack.store.facts import load_facts
from hbtrack.store.reading import Row, connected, match_identity, rows
from hbtrack.text import budget

_BRACKETS = """
SELECT pass, first_epochs, configs, rungs, status, evaluations_planned, evaluations_done, best_loss
FROM bracket WHERE search_pk = ?"""

_RUNGS = """
SELECT b.pass, b.first_epochs, r.rung, r.epochs, r.configs_planned, r.configs_entered, r.done,
    r.failed, r.promoted, r.best_loss, r.cutoff_loss
FROM rung r JOIN bracket b ON b.pk = r.bracket_pk WHERE b.search_pk = ?"""

_PLACES = """
SELECT b.pass, b.first_epochs, r.rung, p.slot, p.promoted, e.epochs AS source_epochs,
    e.config_pk IS p.config_pk AS own_config, e.place_pk IS p.pk AS called,
    CASE WHEN a.finished_at IS NULL OR a.retried IS NOT NULL THEN 'open' ELSE a.status END AS status
FROM place p
    JOIN rung r ON r.pk = p.rung_pk
    JOIN bracket b ON b.pk = r.bracket_pk
    LEFT JOIN evaluation e ON e.pk = p.evaluation_pk
    LEFT JOIN attempt a ON a.pk = e.attempt_pk
WHERE b.search_pk = ?"""

_ATTEMPTS = """
SELECT c.config_id, e.epochs, e.attempts, count(*) AS counted, max(a.attempt) AS largest,
    max(a.pk) AS last, e.attempt_pk,
    sum(a.status IN ('done', 'failed', 'timeout') AND a.finished_at IS NOT NULL
        AND a.retried IS NULL) AS settled,
    sum(a.finished_at IS NULL) AS open
FROM attempt a
    JOIN evaluation e ON e.pk = a.evaluation_pk JOIN config c ON c.pk = e.config_pk
WHERE c.search_pk = ? GROUP BY e.pk"""

_MISPLACED = f"""
SELECT config_id FROM (
    SELECT c.config_id, c.rank, row_number() OVER (ORDER BY {RANKED_BY}) AS counted
    FROM config c WHERE c.search_pk = ? AND c.best_loss IS NOT NULL
) WHERE rank IS NOT counted"""

_CONFIGS = f"""
SELECT c.config_id, c.best_loss, c.best_epochs, c.best_position, c.epochs_reached, c.seconds,
    b.loss, b.epochs, b.position, b.reached,
    (SELECT total(t.seconds) FROM attempt t JOIN evaluation f ON f.pk = t.evaluation_pk
        WHERE f.config_pk = c.pk) AS spent
FROM config c LEFT JOIN (
    SELECT e.config_pk, a.loss, e.epochs, coalesce(p.position, {ORPHAN}) AS position,
        max(e.epochs) OVER (PARTITION BY e.config_pk) AS reached,
        row_number() OVER (
            PARTITION BY e.config_pk ORDER BY a.loss, coalesce(p.position, {ORPHAN}), e.epochs
        ) AS number
    FROM evaluation e
        JOIN attempt a ON a.pk = e.attempt_pk AND a.status = 'done'
        LEFT JOIN place p ON p.pk = e.place_pk
) b ON b.config_pk = c.pk AND b.number = 1
WHERE c.search_pk = ?"""

_INCUMBENTS = """
SELECT i.loss, i.epochs_spent, i.finished_at, a.loss AS measured, a.finished_at AS ended,
    EXISTS (SELECT * FROM attempt t JOIN driver d ON d.pk = t.driver_pk
        WHERE d.search_pk = i.search_pk AND t.retried IS NOT NULL) AS taken_back
FROM incumbent i LEFT JOIN evaluation e ON e.pk = i.evaluation_pk
    LEFT JOIN attempt a ON a.pk = e.attempt_pk
WHERE i.search_pk = ? ORDER BY i.pk"""


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
        connection.execute("BEGIN")  # one moment of a search that may be running
        searches = {row["run_identity"]: row for row in rows(connection, "SELECT * FROM search")}
        for name in match_identity(list(searches), identity) if searches else []:
            problems += [f"{name}: {text}" for text in _check_search(connection, searches[name])]
    return problems


def _check_search(connection: sqlite3.Connection, search: Row) -> Iterator[str]:
    cursor = connection.cursor()
    cursor.row_factory = None
    facts = load_facts(cursor.execute, search["pk"])
    settled: dict[Place, Settled] = {}
    try:
        schedule = make_schedule(search["max_epochs"], parse_eta(search["eta"]))
        plan = rebuild(schedule, search["passes"], facts, settled)
        for attempt in facts.open_attempts:
            plan.start(plan.place_of(attempt.config_id, attempt.epochs))
    except (HbtrackError, ValueError, LookupError) as error:
        yield f"its facts contradict each other: {error}"
        return

    def of(sql: str) -> list[Row]:
        return rows(connection, sql, [search["pk"]])

    yield from _check_summaries(plan, schedule, search, of(_BRACKETS), of(_RUNGS))
    yield from _check_places(plan, settled, of(_PLACES))
    yield from _check_attempts(of(_ATTEMPTS), facts)
    yield from _check_configs(of(_CONFIGS))
    if search["ranked"] and (misplaced := of(_MISPLACED)):
        yield f"the rank of config {misplaced[0]['config_id']!r} is not that of its loss"
    yield from _check_incumbents(of(_INCUMBENTS), search)


def _check_summaries(
    plan: Plan, schedule: Schedule, search: Row, brackets: list[Row], rungs: list[Row]
) -> Iterator[str]:
    """The schedule and the summary rows of search, brackets and rungs."""
    summary = summarise(plan, plan.rungs)
    planned = {bracket.first_epochs: bracket for bracket in schedule.brackets}
    if sorted((row["pass"], row["first_epochs"], row["rung"]) for row in rungs) != sorted(
        plan.rungs
    ):
        yield "its brackets and rungs are not those of its schedule"
        return
    yield from _differences("search", search, _fields(summary.search))
    finished = isinstance(plan.next(), Done)
    if (search["status"] == "finished") != finished:
        yield f"its status is {search['status']}, but it is {'' if finished else 'not '}finished"
    for bracket in summary.brackets:
        key = (bracket.pass_, bracket.first_epochs)
        stored = next(row for row in brackets if (row["pass"], row["first_epochs"]) == key)
        fixed = {"configs": planned[key[1]].configs, "rungs": len(planned[key[1]].rungs)}
        yield from _differences(f"bracket {key}", stored, {**_fields(bracket), **fixed})
    by_key = {RungKey(row["pass"], row["first_epochs"], row["rung"]): row for row in rungs}
    for rung in summary.rungs:
        level = planned[rung.key.first_epochs].rungs[rung.key.rung]
        fixed = {"epochs": level.epochs, "configs_planned": level.configs}
        stored = by_key[rung.key]
        yield from _differences(f"rung {tuple(rung.key)}", stored, {**_fields(rung), **fixed})


def _check_places(plan: Plan, expected: dict[Place, Settled], places: list[Row]) -> Iterator[str]:
    """Promotions, and whose result counts at each place."""
    for row in places:
        place = Place(row["pass"], row["first_epochs"], row["rung"], row["slot"])
        rung = plan.rungs[rung_of(place)]
        promoted = int(place.slot in rung.closed.promoted) if rung.closed else None
        if row["promoted"] != promoted:
            yield f"{place} has promoted {row['promoted']}, but its losses say {promoted}"
        settled = expected.get(place)
        if settled is None:
            if row["status"] in ("done", "failed", "timeout"):
                yield f"{place} has a result, but none follows from what is recorded"
        elif (row["source_epochs"], row["called"]) != (settled.source_epochs, not settled.reused):
            yield f"{place} does not take the result that the rules give it"
        if row["source_epochs"] is not None and not row["own_config"]:
            yield f"{place} takes the result of another config"


def _check_attempts(attempts: list[Row], facts: Facts) -> Iterator[str]:
    """Numbers without gaps, at most one open, at most one result, the last one pointed to."""
    for row in attempts:
        evaluation = f"{row['config_id']!r} at {budget(row['epochs'])}"
        numbered = row["attempts"] == row["counted"] == row["largest"]
        if not (numbered and row["last"] == row["attempt_pk"]):
            yield f"the attempts of {evaluation} are not in order"
        if row["open"] + row["settled"] > 1:
            yield f"{evaluation} was accepted twice"
    if len({attempt.config_id for attempt in facts.open_attempts}) < len(facts.open_attempts):
        yield "two attempts of one config are open at once"


def _check_configs(configs: list[Row]) -> Iterator[str]:
    for row in configs:
        pairs = {"best_loss": "loss", "best_epochs": "epochs", "best_position": "position"}
        pairs["epochs_reached"] = "reached"
        same = all(row[stored] == row[measured] for stored, measured in pairs.items())
        if not same or not isclose(row["seconds"], row["spent"], abs_tol=1e-6):
            yield f"the summary of config {row['config_id']!r} is not that of its evaluations"


def _check_incumbents(incumbents: list[Row], search: Row) -> Iterator[str]:
    """Each is what was measured, better than the one before, and the last is the best."""
    best, spent = float("inf"), 0
    for row in incumbents:
        same = (row["loss"], row["finished_at"]) == (row["measured"], row["ended"])
        # What was taken back had its epochs counted.
        most = float("inf") if row["taken_back"] else search["epochs_done"]
        grown = spent <= row["epochs_spent"] <= most
        if not (same and grown and row["loss"] < best):
            yield f"the incumbent with loss {row['loss']!r} does not follow from the results"
        best, spent = row["loss"], row["epochs_spent"]
    if (best if incumbents else None) != search["best_loss"]:
        yield "the last incumbent is not the best of the search"


def _fields(record: Any) -> dict[str, Any]:
    names = [name for name in record.__dataclass_fields__ if name not in ("key", "pass_")]
    return {name: getattr(record, name) for name in names}


def _differences(what: str, stored: Mapping[str, Any], expected: dict[str, Any]) -> Iterator[str]:
    for name, value in expected.items():
        if stored[name] != value:
            yield f"{what} has {name} {stored[name]!r}, but {value!r} follows from the facts"
