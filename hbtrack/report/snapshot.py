"""One search at one moment, as the text, the screen and the page read it from the public views."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from math import inf
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from hbtrack.core.times import unix
from hbtrack.report.state import find_search, state_of
from hbtrack.store.reading import Row

if TYPE_CHECKING:
    from hbtrack.core.estimate import Range

SEARCH = "SELECT * FROM searches WHERE run_identity = :identity"

RUNNING = """
SELECT config_id, epochs, worker, gpu, started_at FROM attempts
WHERE run_identity = :identity AND finished_at IS NULL ORDER BY started_at"""

RESULTS = """
SELECT pass, bracket, rung, slot, config_id, epochs, status, loss, promoted, objective, config
FROM results WHERE run_identity = :identity ORDER BY pass, bracket DESC, rung, slot"""

ATTEMPTS = """
SELECT worker, gpu, config_id, epochs, status, script_sha256, started_at, finished_at
FROM attempts WHERE run_identity = :identity ORDER BY worker, started_at"""

OPEN_ATTEMPTS = ATTEMPTS.replace("ORDER", "AND finished_at IS NULL ORDER")


@dataclass(frozen=True)
class Snapshot:
    """How far a search is, what is true of it now, and how long it takes where that is known."""

    search: Row  # of the view `searches`
    state: str  # running, orphaned, interrupted, stopped, finished
    left: "Range | None"

    @property
    def identity(self) -> str:
        """The name of the search."""
        return str(self.search["run_identity"])

    @property
    def failed(self) -> int:
        """Evaluations that have failed."""
        return int(self.search["evaluations_failed"])

    @property
    def ended(self) -> int:
        """Evaluations that are done or have failed."""
        return int(self.search["evaluations_done"]) + self.failed

    @property
    def epochs(self) -> str:
        """Epochs trained of those planned: 12/714."""
        return f"{self.search['epochs_done']}/{self.search['epochs_planned']}"

    @property
    def evaluations(self) -> str:
        """Evaluations ended of those planned: 12/138."""
        return f"{self.ended}/{self.search['evaluations_planned']}"

    @property
    def trained(self) -> float:
        """The share of the epochs that are trained."""
        return float(self.search["epochs_done"] / (self.search["epochs_planned"] or 1))

    @property
    def best_config_id(self) -> str | None:
        """The config with the best loss."""
        return self.search["best_config_id"]  # type: ignore[no-any-return]


class Result(NamedTuple):
    """A place, and what came of it: a row of the view `results`."""

    pass_: int
    bracket: int
    rung: int
    slot: int
    config_id: str
    epochs: int
    status: str
    loss: float
    promoted: int | None
    objective: float
    config: int | None = None  # its number, where it was asked for


@dataclass(frozen=True, slots=True)
class Attempt:
    """A process run. Times are Unix seconds; what is open ends never."""

    worker: int
    gpu: str
    config_id: str
    epochs: int
    status: str
    script: str  # its sha256; empty if not known
    start: float
    end: float

    @property
    def gpus(self) -> int:
        """How many GPUs, and so how many workers' places, it had."""
        return self.gpu.count(",") + 1

    @property
    def is_open(self) -> bool:
        """Whether it still runs."""
        return self.status in ("running", "stopping")


def told_apart_by_gpu(attempts: Iterable[Attempt]) -> bool:
    """Whether what runs is told apart by its GPUs, not by its workers' numbers.

    Without GPUs scripts are told --gpu 0, all of them.
    """
    return any(one.gpu not in ("", "0") for one in attempts)


def read_now(
    connection: sqlite3.Connection, path: Path, identity: str
) -> "tuple[Row, str, Range | None]":
    """What a Snapshot begins with: the search's row, its state, and how long it still takes."""
    search = find_search(connection, identity, SEARCH)
    state = state_of(connection, path, identity).word
    return search, state, read_left(connection, identity, state)


def read_left(connection: sqlite3.Connection, identity: str, state: str) -> "Range | None":
    """How long the search still takes; None if it does not run, or nobody can tell."""
    if state != "running":
        return None
    from hbtrack.report.time_left import remaining  # noqa: PLC0415 - slow to import

    return remaining(connection, identity)


def read_results(
    connection: sqlite3.Connection, identity: str, sql: str = RESULTS, **values: object
) -> Iterator[Result]:
    """The places that a query like RESULTS gives."""
    for pass_, bracket, rung, slot, config_id, *rest in tuples(
        connection, sql, identity=identity, **values
    ):
        yield Result(pass_, bracket, rung, slot, intern(config_id), *rest)


def read_attempts(
    connection: sqlite3.Connection, identity: str, sql: str = ATTEMPTS
) -> Iterator[Attempt]:
    """The attempts that a query like ATTEMPTS gives."""
    for worker, gpu, config_id, epochs, status, script, started_at, finished_at in tuples(
        connection, sql, identity=identity
    ):
        start = unix(started_at)
        end = max(start, unix(finished_at)) if finished_at else inf
        sha256 = intern(script or "")
        yield Attempt(worker, gpu, intern(config_id), epochs, status, sha256, start, end)


def tuples(connection: sqlite3.Connection, sql: str, **values: object) -> Iterator[tuple[Any, ...]]:
    """The rows one after the other: there may be very many."""
    with closing(connection.cursor()) as cursor:
        cursor.row_factory = None
        yield from cursor.execute(sql, values)
