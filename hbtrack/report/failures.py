"""The failures of a search, grouped by what they have in common."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from hbtrack.report.called import Called, called
from hbtrack.report.ranking import params_of
from hbtrack.report.traits import Params, in_common
from hbtrack.store.reading import Row, rows

COMPARED = 2000
"""At most so many configs of each kind are compared to see what failures have in common."""

_CAUSE = """coalesce(fingerprint, error_type || char(10)
    || substr(error_message, 1, instr(error_message || char(10), char(10)) - 1), error_type)"""

# The bare columns are those of the newest, as SQLite does it for max().
_COUNTS = f"""
SELECT fingerprint, error_type, substr(error_message, 1, 500) AS error_message,
    count(*) AS count, count(DISTINCT config_id) AS configs, max(finished_at) AS last_at,
    config_id AS example, config, epochs, {_CAUSE} AS cause
FROM failures WHERE run_identity = ?
GROUP BY cause ORDER BY count DESC, last_at LIMIT ?"""

_MEMBERS = f"""
SELECT f.config_id, f.finished_at,
    (SELECT total(a.seconds) FROM attempts a WHERE a.run_identity = f.run_identity
        AND a.config_id = f.config_id AND a.epochs = f.epochs) AS seconds
FROM failures f WHERE f.run_identity = ? AND {_CAUSE} IS ? ORDER BY f.finished_at"""

# Kept up to date for each config, so that not every attempt has to be looked at.
_SECONDS = """
SELECT total(c.seconds) AS seconds FROM _config c JOIN _search s ON s.pk = c.search_pk
WHERE s.run_identity = ?"""

_ERROR = """
SELECT error FROM attempts WHERE run_identity = ? AND config_id = ? AND epochs = ?
ORDER BY attempt DESC LIMIT 1"""

_WHERE = """
SELECT config_id, gpu, host FROM attempts
WHERE run_identity = ? AND config_id IN (SELECT value FROM json_each(?))
    AND (status = 'done') = ? AND finished_at IS NOT NULL
ORDER BY finished_at"""

_OTHERS = """
SELECT DISTINCT config_id FROM results
WHERE run_identity = ? AND rung = 0 AND status = 'done' LIMIT ?"""

_BY_RUNG = """
SELECT total(done) AS done, total(failed) AS failed FROM rungs
WHERE run_identity = ? GROUP BY rung > 0 ORDER BY rung > 0"""

FEW_FAIL, MANY_FAIL = 0.1, 0.5
"""Shares of the fresh and of the promoted configs, from which on only promotions fail."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed evaluations of one cause; the example is the newest of them."""

    fingerprint: str | None
    error_type: str
    error_message: str  # the first line of the newest
    count: int  # failed evaluations
    configs: int
    seconds: float  # wall seconds of all attempts of these evaluations
    share: float  # of the seconds of all the search's attempts, 0 to 1
    first_at: str
    last_at: str
    example: str  # its config_id
    config: int | None  # its number
    params: Row  # its own
    epochs: int  # of the example
    error: str  # traceback of the example
    common: tuple[str, ...]  # what its configs have in common and few others have

    @property
    def called(self) -> Called:
        """How its example is called."""
        return Called(self.example, self.config, self.params)


@dataclass(frozen=True, slots=True)
class Promotions:
    """How many configs failed after they were promoted, and how many that began anew."""

    failed: int
    ended: int
    fresh_failed: int
    fresh_ended: int

    @property
    def alone_fail(self) -> bool:
        """Whether it is what a promotion does, not what a config is."""
        return (
            self.failed > max(1, MANY_FAIL * self.ended)
            and self.fresh_failed < FEW_FAIL * self.fresh_ended
        )


def promotions(connection: sqlite3.Connection, run_identity: str) -> Promotions:
    """How promoted configs fare beside fresh ones, so far."""
    found = rows(connection, _BY_RUNG, [run_identity])
    counts = [(int(row["failed"]), int(row["failed"] + row["done"])) for row in found]
    (fresh, promoted) = [*counts, (0, 0), (0, 0)][:2]
    return Promotions(*promoted, *fresh)


def failure_groups(
    connection: sqlite3.Connection, run_identity: str, limit: int | None = None
) -> list[FailureGroup]:
    """The failed evaluations of a search by their cause, the largest group first.

    `limit` is how many groups at most.
    """
    counts = failure_counts(connection, run_identity, limit)
    if not counts:
        return []
    whole = rows(connection, _SECONDS, [run_identity])[0]["seconds"]
    others = [row["config_id"] for row in rows(connection, _OTHERS, [run_identity, COMPARED])]
    examples = called(connection, ((run_identity, row["example"]) for row in counts))
    for row in counts:
        row["params"] = examples[run_identity, row["example"]].params
    return [_described(connection, run_identity, row, others, whole) for row in counts]


def failure_counts(
    connection: sqlite3.Connection, run_identity: str, limit: int | None = None
) -> list[Row]:
    """The same groups, counted but not looked into.

    Each has fingerprint, error_type, error_message (its first line), count, configs, last_at,
    example (a config_id), config (its number) and epochs.
    """
    found = rows(connection, _COUNTS, [run_identity, -1 if limit is None else limit])
    return [{**row, "error_message": _first_line(row["error_message"])} for row in found]


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _described(
    connection: sqlite3.Connection,
    run_identity: str,
    group: Row,
    others: Sequence[str],
    whole: float,
) -> FailureGroup:
    members = rows(connection, _MEMBERS, [run_identity, group["cause"]])
    seconds = sum(row["seconds"] for row in members)
    ids = dict.fromkeys(row["config_id"] for row in members)
    spared = [config_id for config_id in others if config_id not in ids]
    common = in_common(
        _configs(connection, run_identity, list(ids)[-COMPARED:], done=False),
        _configs(connection, run_identity, spared, done=True),
    )
    error = rows(connection, _ERROR, [run_identity, group["example"], group["epochs"]])
    told = {name: value for name, value in group.items() if name != "cause"}
    return FailureGroup(
        **told | {"error_type": group["error_type"] or ""},
        seconds=seconds,
        share=seconds / whole if whole else 0.0,
        first_at=members[0]["finished_at"],
        error=error[0]["error"] or "",
        common=tuple(common),
    )


def _configs(
    connection: sqlite3.Connection, run_identity: str, ids: Sequence[str], *, done: bool
) -> list[Params]:
    """What can be compared of configs: parameters, and where they came to that end."""
    params = params_of(connection, run_identity, ids)
    where = {
        row["config_id"]: {"the GPU": row["gpu"], "the host": row["host"]}
        for row in rows(connection, _WHERE, [run_identity, json.dumps(ids), done])
    }
    return [{**params.get(one, {}), **where.get(one, {})} for one in ids]
