"""All that is known of one config."""

import shlex
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.contract import checkpoint_name
from hbtrack.core.exit_error import warning_of
from hbtrack.database.location import checkpoints_folder
from hbtrack.report.called import Called, Key, called
from hbtrack.store.reading import Row, rows
from hbtrack.text import in_folder

_LEADS = "SELECT * FROM leaderboard WHERE run_identity = ? AND config_id = ?"

_PATH = """
SELECT r.pass, r.bracket, r.rung, r.slot, r.epochs, r.loss, r.status, r.promoted, r.reused,
    r.rung = b.rungs - 1 AS last, q.configs_entered AS configs,
    CASE r.status WHEN 'done' THEN 1 + (SELECT count(*) FROM results o
        WHERE o.run_identity = r.run_identity AND o.pass = r.pass AND o.bracket = r.bracket
            AND o.rung = r.rung AND o.status = 'done'
            AND (o.objective, o.slot) < (r.objective, r.slot))
        END AS rank
FROM results r
    JOIN brackets b ON b.run_identity = r.run_identity AND b.pass = r.pass
        AND b.bracket = r.bracket
    JOIN rungs q ON q.run_identity = r.run_identity AND q.pass = r.pass
        AND q.bracket = r.bracket AND q.rung = r.rung
WHERE r.run_identity = ? AND r.config_id = ?
ORDER BY r.pass, r.bracket DESC, r.rung, r.slot"""

_ATTEMPTS = """
SELECT epochs, attempt, status, loss, seconds, exit_code, signal, gpu, host, started_at,
    finished_at, retried, command, error, stderr_tail, stdout_tail,
    peak_memory, cpu_seconds
FROM attempts WHERE run_identity = ? AND config_id = ? ORDER BY epochs, attempt"""

_METRICS = """
SELECT epochs, name, value FROM metrics
WHERE run_identity = ? AND config_id = ? ORDER BY epochs, name"""

# What the last of them was told; NULL where that is not known.
_TOLD = """
SELECT a.max_epochs, a.epochs_before
FROM _attempt a
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
WHERE c.search_pk = (SELECT pk FROM _search WHERE run_identity = ?) AND c.config_id = ?
ORDER BY e.epochs DESC, a.attempt DESC LIMIT 1"""

_FOLDER = "SELECT token, checkpoints FROM _search WHERE run_identity = ?"

_SEARCH = "SELECT cwd, maximize FROM _search WHERE run_identity = ?"


@dataclass(frozen=True, slots=True)
class Config:
    """All that is known of a config."""

    run_identity: str
    config_id: str
    config: int | None  # its number in the search
    params: Row
    best: Row | None  # its row of the leaderboard
    path: list[Row]  # its places in canonical order, each with `rank`, `configs` and `outcome`
    metrics: list[Row]  # of each budget that has any: `epochs`, and `metrics` by their names
    attempts: list[Row]  # by epochs, then number; `warning` is what to say of a loss
    maximize: bool  # the larger a loss of its search, the better
    cwd: str  # where its script runs
    checkpoint: str | None  # its folder, if anything lies in it
    told: dict[str, str]  # what the last attempt's environment had, without the folder

    @property
    def called(self) -> Called:
        """How it is called."""
        return Called(self.config_id, self.config, self.params)

    @property
    def command(self) -> str | None:
        """The last attempt's command line for a shell; None if none was started yet."""
        if not self.attempts:
            return None
        told = (
            {"HBTRACK_CHECKPOINT": self.checkpoint, **self.told} if self.checkpoint else self.told
        )
        words = [f"{name}={shlex.quote(value)}" for name, value in told.items()]
        return in_folder(self.cwd, " ".join([*words, self.attempts[-1]["command"]]))

    @property
    def failed(self) -> Row | None:
        """The last attempt, if it failed."""
        failed = [row for row in self.attempts if row["error"] and not row["retried"]]
        return failed[-1] if failed else None


def working_directory(connection: sqlite3.Connection, run_identity: str) -> str:
    """Where the search runs its script."""
    return str(rows(connection, _SEARCH, [run_identity])[0]["cwd"])


def _checkpoint(
    connection: sqlite3.Connection, database: Path, run_identity: str, config_id: str
) -> str | None:
    """The folder that the config's script saves in, if anything is there."""
    (search,) = rows(connection, _FOLDER, [run_identity])
    folder = checkpoints_folder(database, search["token"], search["checkpoints"])
    own = folder / checkpoint_name(config_id)
    with suppress(OSError):
        return str(own) if any(own.iterdir()) else None
    return None


def _told(
    connection: sqlite3.Connection, run_identity: str, config_id: str, *, saved: bool
) -> dict[str, str]:
    """What the config's last attempt was told, as far as it is known and holds by hand, too.

    What lay in a folder of which nothing is left is not said of another one.
    """
    for row in rows(connection, _TOLD, [run_identity, config_id]):
        told = {"HBTRACK_IDENTITY": run_identity, "HBTRACK_MAX_EPOCHS": row["max_epochs"]}
        if saved:
            told["HBTRACK_EPOCHS_DONE"] = row["epochs_before"]
        known = row["max_epochs"] is not None
        return {name: str(value) for name, value in told.items() if known and value is not None}
    return {}


def _warned(attempt: Row) -> Row:
    """The attempt with what is to be said of its loss, instead of all that it printed."""
    printed = [str(attempt.pop(stream) or "") for stream in ("stderr_tail", "stdout_tail")]
    return {**attempt, "warning": warning_of(*printed) if attempt["status"] == "done" else None}


def read_config(
    connection: sqlite3.Connection, database: Path, run_identity: str, config_id: str
) -> Config:
    """What is known of a config that the database has."""
    key = (run_identity, config_id)
    config = called(connection, [key])[key]
    (search,) = rows(connection, _SEARCH, [run_identity])
    path = rows(connection, _PATH, key)
    checkpoint = _checkpoint(connection, database, run_identity, config_id)
    return Config(
        run_identity,
        config_id,
        config.number,
        config.params,
        next(iter(rows(connection, _LEADS, key)), None),
        [{**row, "outcome": _outcome(row)} for row in path],
        _metrics(connection, key),
        [_warned(row) for row in rows(connection, _ATTEMPTS, key)],
        bool(search["maximize"]),
        search["cwd"],
        checkpoint,
        _told(connection, run_identity, config_id, saved=checkpoint is not None),
    )


def _metrics(connection: sqlite3.Connection, key: Key) -> list[Row]:
    found: dict[int, Row] = {}
    for row in rows(connection, _METRICS, key):
        found.setdefault(row["epochs"], {})[row["name"]] = row["value"]
    return [{"epochs": epochs, "metrics": metrics} for epochs, metrics in found.items()]


def _outcome(place: Row) -> str:
    """What became of a config in a rung: promoted, stopped, finished, failed, done, ..."""
    if place["status"] != "done" or place["promoted"] is None:
        return str(place["status"])  # done: its rung is not settled yet
    if place["promoted"]:
        return "promoted"
    return "finished" if place["last"] else "stopped"
