"""One config: which one is meant by what was typed, and all that is known of it."""

import re
import shlex
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from hbtrack.core.contract import checkpoint_name
from hbtrack.core.exit_error import warning_of
from hbtrack.database.location import checkpoints_folder
from hbtrack.errors import NotFound, UsageError
from hbtrack.report.ranking import named_params
from hbtrack.report.width import shortened
from hbtrack.store.reading import Row, rows
from hbtrack.text import in_folder, printable

_IS = "SELECT 1 FROM results WHERE run_identity = ? AND config_id = ? LIMIT 1"

_IDS = "SELECT DISTINCT config_id FROM results WHERE run_identity = ? AND rung = 0"

_BEGINNING = f"{_IDS} AND substr(config_id, 1, length(?)) = ?"

_BEST = "SELECT best_config_id AS config_id FROM searches WHERE run_identity = ?"

_RANK = "SELECT config_id FROM leaderboard WHERE run_identity = ? AND rank = ?"

_LEADS = "SELECT * FROM leaderboard WHERE run_identity = ? AND config_id = ?"

_PATH = """
SELECT r.pass, r.bracket, r.rung, r.slot, r.epochs, r.loss, r.status, r.promoted, r.reused,
    r.rung = b.rungs - 1 AS last, q.configs_entered AS configs,
    CASE r.status WHEN 'done' THEN 1 + (SELECT count(*) FROM results o
        WHERE o.run_identity = r.run_identity AND o.pass = r.pass AND o.bracket = r.bracket
            AND o.rung = r.rung AND o.status = 'done' AND (o.loss, o.slot) < (r.loss, r.slot))
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
    finished_at, retried, command, error, stderr_tail, stdout_tail
FROM attempts WHERE run_identity = ? AND config_id = ? ORDER BY epochs, attempt"""

# What the last of them was told; NULL where that is not known.
_TOLD = """
SELECT a.max_epochs, a.epochs_before
FROM _attempt a
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
WHERE c.search_pk = (SELECT pk FROM _search WHERE run_identity = ?) AND c.config_id = ?
ORDER BY e.epochs DESC, a.attempt DESC LIMIT 1"""

_FOLDER = "SELECT token, checkpoints FROM _search WHERE run_identity = ?"

_CWD = "SELECT cwd FROM _search WHERE run_identity = ?"

NEAR = 3
"""So many ids are named where none is the one that was typed."""


@dataclass(frozen=True, slots=True)
class Config:
    """All that is known of a config."""

    run_identity: str
    config_id: str
    params: Row
    best: Row | None  # its row of the leaderboard
    path: list[Row]  # its places in canonical order, each with `rank`, `configs` and `outcome`
    attempts: list[Row]  # by epochs, then number; `warning` is what to say of a loss
    cwd: str  # where its script runs
    checkpoint: str | None  # its folder, if anything lies in it
    told: dict[str, str]  # what the last attempt's environment had, without the folder

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
    return str(rows(connection, _CWD, [run_identity])[0]["cwd"])


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
    key = [run_identity, config_id]
    path = rows(connection, _PATH, key)
    checkpoint = _checkpoint(connection, database, run_identity, config_id)
    return Config(
        run_identity,
        config_id,
        named_params(connection, run_identity, config_id),
        next(iter(rows(connection, _LEADS, key)), None),
        [{**row, "outcome": _outcome(row)} for row in path],
        [_warned(row) for row in rows(connection, _ATTEMPTS, key)],
        working_directory(connection, run_identity),
        checkpoint,
        _told(connection, run_identity, config_id, saved=checkpoint is not None),
    )


def _outcome(place: Row) -> str:
    """What became of a config in a rung: promoted, stopped, finished, failed, done, ..."""
    if place["status"] != "done" or place["promoted"] is None:
        return str(place["status"])  # done: its rung is not settled yet
    if place["promoted"]:
        return "promoted"
    return "finished" if place["last"] else "stopped"


def find_config(
    connection: sqlite3.Connection, searches: Iterable[str], text: str
) -> tuple[str, str]:
    """The search and the config that `text` means: an id, how only one begins, best, or #RANK.

    Raises NotFound, with near names, when there is none or it may be several; UsageError when it
    is one in more than one search.
    """
    found, problems = [], []
    for search in searches:
        try:
            found.append((search, _find(connection, search, text)))
        except NotFound as problem:
            problems.append(problem)
    if len(found) > 1:
        names = ", ".join(printable(repr(search)) for search, _ in found[:5])
        raise UsageError(
            f"{_quoted(text)} is a config of {len(found)} searches ({names}). "
            "Say which one is meant with --identity.",
            see="several-searches",
        )
    if not found:
        raise problems[0] if problems else NotFound("There is no search here yet.", see="no-search")
    return found[0]


def _find(connection: sqlite3.Connection, search: str, text: str) -> str:
    if rows(connection, _IS, [search, text]):
        return text
    if text == "best" or re.fullmatch(r"#[0-9]{1,15}", text):
        return _ranked(connection, search, text)
    ids = [row["config_id"] for row in rows(connection, _BEGINNING, [search, text, text])]
    if len(ids) == 1:
        return str(ids[0])
    if ids:
        raise NotFound(
            f"{len(ids)} configs begin with {_quoted(text)}: {_named(ids)}. Type more.",
            see="no-config",
        )
    ids = [row["config_id"] for row in rows(connection, _IDS, [search])]
    near = f"The nearest: {_named(_nearest(text, ids))}." if ids else "Nothing is sampled yet."
    raise NotFound(f"{printable(search)} has no config {_quoted(text)}. {near}", see="no-config")


def _ranked(connection: sqlite3.Connection, search: str, text: str) -> str:
    """The config called best or #RANK."""
    sql, values = (_BEST, [search]) if text == "best" else (_RANK, [search, int(text[1:])])
    for row in rows(connection, sql, values):
        if row["config_id"] is not None:
            return str(row["config_id"])
    have = "none has a loss yet" if text == "best" else "not so many have a loss"
    raise NotFound(
        f"No config of {printable(search)} is {text}: {have}. "
        "`hbtrack report` shows those that do.",
        see="no-config",
    )


def _nearest(text: str, ids: Sequence[str]) -> list[str]:
    """Ids that contain the text; else those that begin most like it."""

    def alike(one: str) -> int:
        return sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, text, strict=False))
        )

    inside = [one for one in ids if text in one]
    return inside or sorted(ids, key=alike, reverse=True)[:NEAR]


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NEAR} more" if len(ids) > NEAR else ""
    return ", ".join(map(_quoted, ids[:NEAR])) + more


def _quoted(text: str) -> str:
    return shortened(printable(repr(text)), 80)
