"""A search at one moment, read from the public views: small whatever the size of the search."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hbtrack.core.records import unix
from hbtrack.errors import NotFound
from hbtrack.report.ranking import in_order_of, params_of
from hbtrack.store.reading import Row, rows
from hbtrack.text import printable

if TYPE_CHECKING:
    from hbtrack.core.estimate import Range

MOST_BRACKETS = 40
"""So many are read: those of the passes under way and after, then the passes before."""
MOST_CAUSES = 5

_SEARCH = "SELECT * FROM searches WHERE run_identity = ?"

# The first pass that is not done, else the last one.
_FRONT = """
SELECT coalesce(min(pass) FILTER (WHERE status <> 'done'), max(pass)) AS front FROM brackets
WHERE run_identity = ?"""

_BRACKETS = """
SELECT pass, bracket, status FROM brackets WHERE run_identity = :identity
ORDER BY pass < :front, abs(pass - :front), bracket DESC LIMIT :most"""

_COUNTS = """
SELECT status, count(*) AS count FROM brackets WHERE run_identity = ? GROUP BY status"""

_RUNGS = """
SELECT pass, bracket, rung, epochs, configs_planned, configs_entered, done, failed, running,
    promoted
FROM rungs WHERE run_identity = ? AND pass BETWEEN ? AND ? ORDER BY pass, bracket DESC, rung"""

_ATTEMPTS = """
SELECT worker, gpu, config_id, epochs, started_at, host, status FROM attempts
WHERE run_identity = ? AND finished_at IS NULL ORDER BY worker"""

_PLACE = """
SELECT bracket, rung FROM results
WHERE run_identity = ? AND config_id = ? AND epochs = ? AND status = 'running' AND reused = 0"""

_DRIVER = """
SELECT workers FROM drivers WHERE run_identity = ? ORDER BY driver DESC LIMIT 1"""

_CAUSES = """
SELECT count(*) AS count, error_type, substr(error_message, 1, 500) AS error_message,
    max(finished_at) AS newest
FROM failures WHERE run_identity = ?
GROUP BY fingerprint, error_type ORDER BY count DESC, newest DESC"""


@dataclass(frozen=True, slots=True)
class Rung:
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
class Bracket:
    """One successive halving, with its rungs from the cheapest on."""

    pass_: int
    bracket: int
    status: str
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What runs on a worker. `bracket` and `rung` are None where no place is known for it."""

    config_id: str
    epochs: int
    gpu: str
    host: str
    since: float  # Unix time
    bracket: int | None
    rung: int | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of the latest driver; idle without an attempt."""

    number: int
    attempt: Attempt | None


@dataclass(frozen=True, slots=True)
class Best:
    """The smallest loss so far, with the parameters of its config."""

    loss: float
    config_id: str
    epochs: int
    params: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """Failed evaluations with one cause."""

    count: int
    error_type: str
    error_message: str  # the first line of the newest


@dataclass(frozen=True, slots=True)
class Overview:
    """What a search is doing, at `now`."""

    now: float  # Unix time
    run_identity: str
    state: str
    stop_reason: str | None
    left: "Range | None"
    passes: int
    evaluations_planned: int
    evaluations_done: int
    evaluations_failed: int
    epochs_planned: int
    epochs_done: int
    brackets: tuple[Bracket, ...]  # in canonical order; at most MOST_BRACKETS
    bracket_counts: Mapping[str, int]  # of all brackets, by status
    workers: tuple[Worker, ...]
    best: Best | None
    causes: tuple[Cause, ...]  # the most frequent first; at most MOST_CAUSES
    causes_in_all: int

    @property
    def evaluations_ended(self) -> int:
        """Evaluations that are done or have failed."""
        return self.evaluations_done + self.evaluations_failed

    @property
    def busy(self) -> int:
        """Workers that have something to do."""
        return sum(worker.attempt is not None for worker in self.workers)


def read_overview(
    connection: sqlite3.Connection,
    run_identity: str,
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
        return _read(connection, run_identity, state, now, left, earlier)
    finally:
        connection.rollback()


def _read(
    connection: sqlite3.Connection,
    run_identity: str,
    state: str | None,
    now: float,
    left: "Range | None",
    earlier: Overview | None,
) -> Overview:
    found = rows(connection, _SEARCH, [run_identity])
    if not found:
        raise NotFound(
            f"There is no search called {printable(repr(run_identity))} any more.",
            see="removed-meanwhile",
        )
    search = found[0]
    attempts = rows(connection, _ATTEMPTS, [run_identity])
    workers = [Worker(row["worker"], _attempt(connection, run_identity, row)) for row in attempts]
    if state == "running":
        workers += _idle(connection, run_identity, workers)
    if earlier and earlier.evaluations_failed == search["evaluations_failed"]:
        causes, causes_in_all = earlier.causes, earlier.causes_in_all
    else:
        causes, causes_in_all = _causes(connection, run_identity)
    return Overview(
        now=now,
        run_identity=run_identity,
        state=_state(state, search["status"], attempts),
        stop_reason=search["stop_reason"],
        left=left,
        passes=search["passes"],
        evaluations_planned=search["evaluations_planned"],
        evaluations_done=search["evaluations_done"],
        evaluations_failed=search["evaluations_failed"],
        epochs_planned=search["epochs_planned"],
        epochs_done=search["epochs_done"],
        brackets=_brackets(connection, run_identity),
        bracket_counts={
            row["status"]: row["count"] for row in rows(connection, _COUNTS, [run_identity])
        },
        workers=tuple(sorted(workers, key=lambda worker: worker.number)),
        best=_best(connection, search),
        causes=causes,
        causes_in_all=causes_in_all,
    )


def _best(connection: sqlite3.Connection, search: Row) -> Best | None:
    if search["best_loss"] is None:
        return None
    config_id = search["best_config_id"]
    params = params_of(connection, search["run_identity"], [config_id]).get(config_id, {})
    named = tuple((name, params[name]) for name in in_order_of(config_id, params))
    return Best(search["best_loss"], config_id, search["best_epochs"], named)


def _brackets(connection: sqlite3.Connection, run_identity: str) -> tuple[Bracket, ...]:
    """The brackets that are worth a look."""
    (front,) = rows(connection, _FRONT, [run_identity])
    values = {"identity": run_identity, "front": front["front"], "most": MOST_BRACKETS}
    chosen = [dict(row) for row in connection.execute(_BRACKETS, values)]
    chosen.sort(key=lambda row: (row["pass"], -row["bracket"]))
    rungs: dict[tuple[int, int], list[Rung]] = {}
    if chosen:
        span = [run_identity, chosen[0]["pass"], chosen[-1]["pass"]]
        for row in rows(connection, _RUNGS, span):
            rungs.setdefault((row["pass"], row["bracket"]), []).append(_rung(row))
    return tuple(
        Bracket(
            row["pass"], row["bracket"], row["status"], tuple(rungs[row["pass"], row["bracket"]])
        )
        for row in chosen
    )


def _rung(row: Row) -> Rung:
    return Rung(
        epochs=row["epochs"],
        planned=row["configs_planned"],
        entered=row["configs_entered"],
        done=row["done"],
        failed=row["failed"],
        running=row["running"],
        promoted=row["promoted"],
    )


def _state(state: str | None, status: str, attempts: list[Row]) -> str:
    if state == "running" and any(row["status"] == "stopping" for row in attempts):
        return "stopping"
    if state is None and attempts:
        return "orphaned"
    return state or ("interrupted" if status == "unfinished" else status)


def _idle(connection: sqlite3.Connection, run_identity: str, busy: list[Worker]) -> list[Worker]:
    """The workers of the present driver that have nothing to do."""
    found = rows(connection, _DRIVER, [run_identity])
    count = (found[0]["workers"] or 0) if found else 0
    taken = {worker.number for worker in busy}
    free = [number for number in range(count) if number not in taken]
    return [Worker(number, None) for number in free[: max(0, count - len(busy))]]


def _attempt(connection: sqlite3.Connection, run_identity: str, row: Row) -> Attempt:
    where = rows(connection, _PLACE, [run_identity, row["config_id"], row["epochs"]])
    bracket, rung = (where[0]["bracket"], where[0]["rung"]) if where else (None, None)
    return Attempt(
        config_id=row["config_id"],
        epochs=row["epochs"],
        gpu=row["gpu"],
        host=row["host"],
        since=unix(row["started_at"]),
        bracket=bracket,
        rung=rung,
    )


def _causes(connection: sqlite3.Connection, run_identity: str) -> tuple[tuple[Cause, ...], int]:
    found = rows(connection, _CAUSES, [run_identity])
    causes = tuple(
        Cause(row["count"], row["error_type"] or "", _first_line(row["error_message"]))
        for row in found[:MOST_CAUSES]
    )
    return causes, len(found)


def _first_line(message: str | None) -> str:
    return next(iter((message or "").strip().splitlines()), "")
