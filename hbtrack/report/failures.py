"""The failures of a search, grouped by what they have in common."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hbtrack.reading import Row, rows
from hbtrack.report.traits import Config, Value, in_common

COMPARED = 2000
"""At most so many configs of each kind are compared to see what failures have in common."""

_FAILED = """
SELECT f.config_id, f.epochs, f.fingerprint, f.error_type,
    substr(f.error_message, 1, 500) AS error_message, f.finished_at,
    (SELECT total(a.seconds) FROM attempts a WHERE a.run_identity = f.run_identity
        AND a.config_id = f.config_id AND a.epochs = f.epochs) AS seconds
FROM failures f WHERE f.run_identity = ? ORDER BY f.finished_at, f.config_id, f.epochs"""

_SECONDS = "SELECT total(seconds) AS seconds FROM attempts WHERE run_identity = ?"

_ERROR = """
SELECT error FROM attempts WHERE run_identity = ? AND config_id = ? AND epochs = ?
ORDER BY attempt DESC LIMIT 1"""

_PARAMS = """
SELECT config_id, name, value FROM params
WHERE run_identity = ? AND config_id IN (SELECT value FROM json_each(?))"""

_WHERE = """
SELECT config_id, gpu, host FROM attempts
WHERE run_identity = ? AND config_id IN (SELECT value FROM json_each(?))
    AND (status = 'done') = ? AND finished_at IS NOT NULL
ORDER BY finished_at"""

_OTHERS = """
SELECT DISTINCT config_id FROM results
WHERE run_identity = ? AND rung = 0 AND status = 'done' LIMIT ?"""


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
    epochs: int  # of the example
    error: str  # traceback of the example
    common: tuple[str, ...]  # what its configs have in common and few others have


def failure_groups(
    connection: sqlite3.Connection, run_identity: str, limit: int | None = None
) -> list[FailureGroup]:
    """The failed evaluations of a search by their fingerprint, the largest group first.

    `limit` is how many groups at most.
    """
    groups = _grouped(rows(connection, _FAILED, [run_identity]))
    if not groups:
        return []
    whole = rows(connection, _SECONDS, [run_identity])[0]["seconds"]
    others = [row["config_id"] for row in rows(connection, _OTHERS, [run_identity, COMPARED])]
    return [_described(connection, run_identity, group, others, whole) for group in groups[:limit]]


def _grouped(failed: Iterable[Row]) -> list[list[Row]]:
    """Failures of one cause together, in the order they came; the largest group first."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in failed:
        groups[row["fingerprint"] or (row["error_type"], first_line(row["error_message"]))].append(
            row
        )
    return sorted(groups.values(), key=len, reverse=True)


def first_line(text: str | None) -> str:
    """The first line of a message that may be missing."""
    return (text or "").strip().split("\n")[0]


def _described(
    connection: sqlite3.Connection,
    run_identity: str,
    group: Sequence[Row],
    others: Sequence[str],
    whole: float,
) -> FailureGroup:
    newest = group[-1]
    error = rows(connection, _ERROR, [run_identity, newest["config_id"], newest["epochs"]])
    seconds = sum(row["seconds"] for row in group)
    ids = dict.fromkeys(row["config_id"] for row in group)
    spared = [config_id for config_id in others if config_id not in ids]
    common = in_common(
        _configs(connection, run_identity, list(ids)[-COMPARED:], done=False),
        _configs(connection, run_identity, spared, done=True),
    )
    return FailureGroup(
        fingerprint=newest["fingerprint"],
        error_type=newest["error_type"] or "",
        error_message=first_line(newest["error_message"]),
        count=len(group),
        configs=len(ids),
        seconds=seconds,
        share=seconds / whole if whole else 0.0,
        first_at=group[0]["finished_at"],
        last_at=newest["finished_at"],
        example=newest["config_id"],
        epochs=newest["epochs"],
        error=error[0]["error"] or "",
        common=tuple(common),
    )


def _configs(
    connection: sqlite3.Connection, run_identity: str, ids: Sequence[str], *, done: bool
) -> list[Config]:
    """What can be compared of configs: parameters, and where they came to that end."""
    found: dict[str, dict[str, Value]] = {config_id: {} for config_id in ids}
    chosen = json.dumps(ids)
    for row in rows(connection, _PARAMS, [run_identity, chosen]):
        found[row["config_id"]][row["name"]] = row["value"]
    for row in rows(connection, _WHERE, [run_identity, chosen, done]):
        found[row["config_id"]] |= {"the GPU": row["gpu"], "the host": row["host"]}
    return list(found.values())
