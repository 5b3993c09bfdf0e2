"""What the screen shows of a search at one moment: little, whatever the size of the search."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hbtrack.report.called import Called, called
from hbtrack.report.failures import failure_counts
from hbtrack.report.snapshot import (
    OPEN_ATTEMPTS,
    SEARCH,
    Attempt,
    Snapshot,
    read_attempts,
    tuples,
)
from hbtrack.report.state import find_search, rest_of, rests
from hbtrack.store.reading import Row

if TYPE_CHECKING:
    from hbtrack.core.estimate import Range

MOST_BRACKETS = 40
"""So many are looked into: those of the passes under way and after, then the passes before."""

# The front is the first pass that is not done, else the last one.
_BRACKETS = """
SELECT pass, bracket, status FROM brackets, (
    SELECT coalesce(min(pass) FILTER (WHERE status <> 'done'), max(pass)) AS front FROM brackets
    WHERE run_identity = :identity)
WHERE run_identity = :identity
ORDER BY pass < front, abs(pass - front), bracket DESC LIMIT :most"""

_COUNTS = "SELECT status, count(*) FROM brackets WHERE run_identity = :identity GROUP BY status"

_RUNGS = """
SELECT pass, bracket, epochs, configs_planned, configs_entered, done, failed, running, promoted
FROM rungs WHERE run_identity = :identity AND pass BETWEEN :first AND :last ORDER BY rung"""

_PLACE = """
SELECT bracket, rung FROM results
WHERE run_identity = :identity AND config_id = :config_id AND epochs = :epochs
    AND status = 'running' AND reused = 0"""

_WORKERS = "SELECT workers FROM drivers WHERE run_identity = :identity ORDER BY driver DESC LIMIT 1"

Place = tuple[int, int]
"""A bracket and a rung."""


@dataclass(frozen=True, slots=True)
class RungProgress:
    """A level of a bracket: how many configs have come how far in it."""

    epochs: int
    planned: int
    entered: int
    done: int
    failed: int
    running: int
    promoted: int | None  # None until it is settled

    @property
    def ended(self) -> int:
        """Configs that have come to their end here."""
        return self.done + self.failed


@dataclass(frozen=True, slots=True)
class BracketProgress:
    """One successive halving, with its rungs from the cheapest on."""

    pass_: int
    bracket: int
    status: str
    rungs: Sequence[RungProgress]


@dataclass(frozen=True)
class Overview(Snapshot):
    """What a search is doing, at `now`."""

    now: float  # Unix time
    brackets: Sequence[BracketProgress]  # in canonical order; at most MOST_BRACKETS
    bracket_counts: Mapping[str, int]  # of all brackets, by status
    attempts: Sequence[tuple[Attempt, Called, Place | None]]  # that run; where, if that is known
    workers: int  # of the driver, idle ones too
    best: Called | None
    causes: Sequence[Row]  # of failures, as failure_counts gives them
    rest: str  # until when it rests, and because of what; nothing if it does not

    @property
    def busy(self) -> str:
        """Workers that have something to do, of all: 3/4."""
        return f"{len(self.attempts)}/{self.workers}"


def read_overview(
    connection: sqlite3.Connection,
    identity: str,
    *,
    state: str | None,
    now: float,
    left: "Range | None" = None,
    earlier: Overview | None = None,
) -> Overview:
    """Look at a search, in one transaction of a connection that gives sqlite3.Row.

    `state` and `left` are the caller's to find out; a state of None is what the records say when
    no driver is there. What `earlier` knows of failures counts as long as their number is the
    same. Raises NotFound when there is no such search.
    """
    connection.execute("BEGIN")
    try:
        search = find_search(connection, identity, SEARCH)
        best = search["best_config_id"]
        attempts = list(read_attempts(connection, identity, OPEN_ATTEMPTS))
        ids = [one.config_id for one in attempts] + ([best] if best else [])
        names = called(connection, [(identity, one) for one in ids])
        known = earlier and earlier.failed == search["evaluations_failed"]
        return Overview(
            search,
            _state(state, search["status"], attempts),
            left,
            now,
            _brackets(connection, identity),
            dict(tuples(connection, _COUNTS, identity=identity)),
            [
                (one, names[identity, one.config_id], _place(connection, identity, one))
                for one in attempts
            ],
            _workers(connection, identity, len(attempts), state),
            names[identity, best] if best else None,
            earlier.causes if earlier and known else failure_counts(connection, identity),
            _rests(connection, identity, state),
        )
    finally:
        connection.rollback()


def _rests(connection: sqlite3.Connection, identity: str, state: str | None) -> str:
    """Why nothing starts, if a driver that is there rests."""
    rest = rest_of(connection, identity) if state == "running" else None
    return rests(rest, driven=True) if rest else ""


def _state(state: str | None, status: str, attempts: Sequence[Attempt]) -> str:
    if state == "running" and any(one.status == "stopping" for one in attempts):
        return "stopping"
    if state is None and attempts:
        return "orphaned"
    return state or ("interrupted" if status == "unfinished" else status)


def _brackets(connection: sqlite3.Connection, identity: str) -> list[BracketProgress]:
    """The brackets that are worth a look: near the first pass that is not done, or the last."""
    near = tuples(connection, _BRACKETS, identity=identity, most=MOST_BRACKETS)
    chosen = sorted(near, key=lambda row: (row[0], -row[1]))
    span = {"first": chosen[0][0], "last": chosen[-1][0]} if chosen else {"first": 0, "last": 0}
    rungs: dict[tuple[int, int], list[RungProgress]] = defaultdict(list)
    for pass_, bracket, *counts in tuples(connection, _RUNGS, identity=identity, **span):
        rungs[pass_, bracket].append(RungProgress(*counts))
    return [
        BracketProgress(pass_, bracket, status, rungs[pass_, bracket])
        for pass_, bracket, status in chosen
    ]


def _place(connection: sqlite3.Connection, identity: str, one: Attempt) -> Place | None:
    values = {"identity": identity, "config_id": one.config_id, "epochs": one.epochs}
    return next(tuples(connection, _PLACE, **values), None)


def _workers(connection: sqlite3.Connection, identity: str, busy: int, state: str | None) -> int:
    """How many there are: of a driver that does not run, those that run something."""
    if state != "running":
        return busy
    (count,) = next(tuples(connection, _WORKERS, identity=identity), (0,))
    return max(busy, count or 0)
