"""Write anew every row that follows from a search's facts, after the facts have changed.

A driver writes what follows from one more fact; this is for when a larger schedule, or a result
that is taken back, changes what followed from all of them. Nothing is decided here: `Derived` says
how everything must be. All in the caller's transaction, and by few statements over whole tables,
for a search may have a million places.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from sqlite3 import Connection
from typing import Any

from hbtrack.core.records import (
    BracketSummary,
    Loss,
    Place,
    RungKey,
    RungSummary,
    SearchSummary,
    Settled,
    Summary,
    rung_of,
)
from hbtrack.core.schedule import Schedule

ORPHAN = 2**62
"""The position of an evaluation that no place uses: after every real one."""


@dataclass(frozen=True, slots=True)
class Derived:
    """All that follows from the facts of a search."""

    places: dict[Place, str]  # who entered which rung
    positions: dict[Place, int]
    promoted: dict[RungKey, frozenset[int]]  # of each rung that is settled
    settled: dict[Place, Settled]
    callable: set[Place]  # what the script is called for, or may be at once
    recorded: tuple[tuple[str, int, Loss], ...]  # config_id, epochs, loss
    summary: Summary  # of all brackets and rungs


_ADD_BRACKET = """
INSERT INTO bracket (search_pk, pass, first_epochs, configs, rungs, status,
    evaluations_planned, evaluations_done)
VALUES (?, ?, ?, ?, ?, 'waiting', 0, 0)
ON CONFLICT (search_pk, pass, first_epochs) DO UPDATE
SET configs = excluded.configs, rungs = excluded.rungs"""

_ADD_RUNG = """
INSERT INTO rung (bracket_pk, rung, epochs, configs_planned, configs_entered, done, failed)
SELECT pk, ?, ?, ?, 0, 0, 0 FROM bracket
WHERE search_pk = ? AND pass = ? AND first_epochs = ?
ON CONFLICT (bracket_pk, rung) DO UPDATE
SET epochs = excluded.epochs, configs_planned = excluded.configs_planned"""

_ADD_SLOT = "INSERT INTO place (rung_pk, slot, config_pk, position) VALUES (?, ?, ?, ?)"

_RUNGS = """
SELECT b.pass, b.first_epochs, r.rung, r.pk
FROM rung r JOIN bracket b ON b.pk = r.bracket_pk WHERE b.search_pk = ?"""

# What must be, for the statements below. The index lives as long: without it each place that goes
# would have all evaluations looked through for one that refers to it.
_AIDS = {
    "follows": "CREATE TEMP TABLE follows (rung_pk INTEGER, slot INTEGER, config_pk INTEGER, "
    "position INTEGER, promoted INTEGER, source INTEGER, reused INTEGER, callable INTEGER, "
    "PRIMARY KEY (rung_pk, slot)) WITHOUT ROWID",
    "owned": "CREATE INDEX temp.owned ON follows (config_pk, source) WHERE NOT reused",
    "recorded": "CREATE TEMP TABLE recorded (config_pk INTEGER, epochs INTEGER, loss REAL, "
    "PRIMARY KEY (config_pk, epochs)) WITHOUT ROWID",
    "index": "CREATE INDEX aid_evaluation_place ON evaluation (place_pk)",
}
_REMOVE_AIDS = (
    "DROP INDEX aid_evaluation_place",
    "DROP TABLE temp.follows",
    "DROP TABLE temp.recorded",
)

_GONE = """
FROM rung r JOIN bracket b ON b.pk = r.bracket_pk JOIN place p ON p.rung_pk = r.pk
    LEFT JOIN follows f
        ON f.rung_pk = p.rung_pk AND f.slot = p.slot AND f.config_pk = p.config_pk
WHERE b.search_pk = :search AND f.slot IS NULL"""

# In this order: places that no longer follow, who they are, whose result counts where.
_PLACES = (
    f"UPDATE evaluation SET place_pk = NULL WHERE place_pk IN (SELECT p.pk {_GONE})",
    f"DELETE FROM place WHERE pk IN (SELECT p.pk {_GONE})",
    "INSERT INTO place (rung_pk, slot, config_pk, position, promoted) "
    "SELECT rung_pk, slot, config_pk, position, promoted FROM follows WHERE true "
    "ON CONFLICT (rung_pk, slot) DO UPDATE "
    "SET position = excluded.position, promoted = excluded.promoted",
    # An evaluation without a result keeps the place that it was called for, if it is to be called
    # for that one again and not for an earlier one that is open again.
    "UPDATE evaluation SET place_pk = NULL WHERE place_pk IN (SELECT p.pk FROM follows f "
    "JOIN place p ON p.rung_pk = f.rung_pk AND p.slot = f.slot WHERE NOT f.callable)",
    "UPDATE evaluation SET place_pk = (SELECT p.pk FROM follows f "
    "JOIN place p ON p.rung_pk = f.rung_pk AND p.slot = f.slot "
    "WHERE f.config_pk = evaluation.config_pk AND f.source = evaluation.epochs AND NOT f.reused) "
    "WHERE (config_pk, epochs) IN (SELECT config_pk, epochs FROM recorded)",
    "UPDATE place SET evaluation_pk = (SELECT e.pk FROM evaluation e "
    "WHERE e.config_pk = place.config_pk AND e.epochs = f.source) "
    "FROM follows f WHERE f.rung_pk = place.rung_pk AND f.slot = place.slot "
    "AND f.source IS NOT NULL",
    "UPDATE place SET evaluation_pk = (SELECT e.pk FROM evaluation e "
    "JOIN rung r ON r.pk = place.rung_pk AND r.epochs = e.epochs "
    "WHERE e.config_pk = place.config_pk AND e.place_pk = place.pk) "
    "FROM follows f WHERE f.rung_pk = place.rung_pk AND f.slot = place.slot "
    "AND f.source IS NULL",
)

_CONFIGS = (
    "UPDATE config SET best_loss = NULL, best_epochs = NULL, best_position = NULL, "
    "epochs_reached = NULL WHERE search_pk = :search",
    "UPDATE config SET best_loss = b.loss, best_epochs = b.epochs, best_position = b.position, "
    "epochs_reached = b.reached FROM (SELECT d.*, "
    "max(epochs) OVER (PARTITION BY config_pk) AS reached, row_number() "
    "OVER (PARTITION BY config_pk ORDER BY loss, position, epochs) AS number FROM ("
    f"SELECT d.config_pk, d.epochs, d.loss, coalesce(p.position, {ORPHAN}) AS position "
    "FROM recorded d JOIN evaluation e ON e.config_pk = d.config_pk AND e.epochs = d.epochs "
    "LEFT JOIN place p ON p.pk = e.place_pk WHERE d.loss IS NOT NULL) d) b "
    "WHERE b.config_pk = config.pk AND b.number = 1",
)


def write_schedule(connection: Connection, search_pk: int, schedule: Schedule, passes: int) -> None:
    """The search has this schedule from now on: it may have more passes, brackets, rungs."""
    connection.execute(
        "UPDATE search SET max_epochs = ?, passes = ? WHERE pk = ?",
        (schedule.max_epochs, passes, search_pk),
    )
    keyed = [
        ((search_pk, pass_, bracket.first_epochs), bracket)
        for pass_ in range(1, passes + 1)
        for bracket in schedule.brackets
    ]
    connection.executemany(
        _ADD_BRACKET, [(*key, bracket.configs, len(bracket.rungs)) for key, bracket in keyed]
    )
    rungs = [
        (number, rung.epochs, rung.configs, *key)
        for key, bracket in keyed
        for number, rung in enumerate(bracket.rungs)
    ]
    connection.executemany(_ADD_RUNG, rungs)


def add_slots(
    connection: Connection, search_pk: int, slots: dict[Place, str], positions: dict[Place, int]
) -> None:
    """Write sampled places of first rungs, whose rungs and configs are there."""
    rungs, configs = _rung_pks(connection, search_pk), _config_pks(connection, search_pk)
    rows = [
        (rungs[rung_of(place)], place.slot, configs[config_id], positions[place])
        for place, config_id in slots.items()
    ]
    if rows:
        connection.executemany(_ADD_SLOT, rows)


def write(connection: Connection, search_pk: int, derived: Derived) -> None:
    """Make every row that follows from the facts what `derived` says.

    The schedule and the places of first rungs must be there already. Incumbents are history, and
    the search's status is the caller's.
    """
    rungs = _rung_pks(connection, search_pk)
    with _aids(connection):
        _say_what_follows(connection, derived, rungs, _config_pks(connection, search_pk))
        for sql in (*_PLACES, *_CONFIGS):
            connection.execute(sql, {"search": search_pk} if ":search" in sql else {})
    _write_summary(connection, search_pk, derived.summary, rungs)


@contextmanager
def _aids(connection: Connection) -> Iterator[None]:
    for sql in _AIDS.values():
        connection.execute(sql)
    yield  # on an error the transaction is rolled back, and they with it
    for sql in _REMOVE_AIDS:
        connection.execute(sql)


def _say_what_follows(
    connection: Connection, derived: Derived, rungs: dict[RungKey, int], configs: dict[str, int]
) -> None:
    rows = []
    for place, config_id in derived.places.items():
        key, settled = rung_of(place), derived.settled.get(place)
        promoted = int(place.slot in derived.promoted[key]) if key in derived.promoted else None
        row = (rungs[key], place.slot, configs[config_id], derived.positions[place], promoted)
        taken = (settled.source_epochs, settled.reused) if settled else (None, None)
        rows.append((*row, *taken, place in derived.callable))
    _insert(connection, "INSERT INTO follows VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    results = [(configs[config_id], *result) for config_id, *result in derived.recorded]
    _insert(connection, "INSERT INTO recorded VALUES (?, ?, ?)", results)


def _write_summary(
    connection: Connection, search_pk: int, summary: Summary, rungs: dict[RungKey, int]
) -> None:
    bracket_key = "WHERE search_pk = ? AND pass = ? AND first_epochs = ?"
    for sql, rows in (
        (
            f"UPDATE search SET {_set(SearchSummary)} WHERE pk = ?",
            [(*_values(summary.search), search_pk)],
        ),
        (
            f"UPDATE bracket SET {_set(BracketSummary)} {bracket_key}",
            [(*_values(b), search_pk, b.pass_, b.first_epochs) for b in summary.brackets],
        ),
        (
            f"UPDATE rung SET {_set(RungSummary)} WHERE pk = ?",
            [(*_values(rung), rungs[rung.key]) for rung in summary.rungs],
        ),
    ):
        _insert(connection, sql, rows)


_KEYS = ("key", "pass_", "first_epochs")


def _set(record: type[Any]) -> str:
    return ", ".join(f"{one.name} = ?" for one in fields(record) if one.name not in _KEYS)


def _values(record: Any) -> list[Any]:
    return [getattr(record, one.name) for one in fields(record) if one.name not in _KEYS]


def _insert(connection: Connection, sql: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.executemany(sql, rows)


def _rung_pks(connection: Connection, search_pk: int) -> dict[RungKey, int]:
    rows = connection.execute(_RUNGS, (search_pk,))
    return {RungKey(*key): pk for *key, pk in rows}


def _config_pks(connection: Connection, search_pk: int) -> dict[str, int]:
    sql = "SELECT config_id, pk FROM config WHERE search_pk = ?"
    return {row[0]: row[1] for row in connection.execute(sql, (search_pk,))}
