"""The configs that have a loss, in the order asked for, each with its parameters and metrics."""

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from sys import intern

from hbtrack.errors import UsageError
from hbtrack.store.reading import Row, rows
from hbtrack.text import printable

COLUMNS = (
    *("rank", "config", "loss", "epochs", "epochs_reached", "bracket", "seconds"),
    "config_id",
)

ORDERS = {
    "loss": "rank",
    "epochs": "epochs DESC, rank",  # what was trained longest is known best
    "seconds": "seconds DESC, rank",
}
"""What --sort knows besides the names of parameters, as SQL."""

_RANKED = f"""
SELECT {", ".join(COLUMNS)} FROM leaderboard WHERE run_identity = :search
ORDER BY {{order}} LIMIT :limit"""

_BY_PARAMETER = f"""
SELECT {", ".join(f"l.{name}" for name in COLUMNS)} FROM leaderboard l
    LEFT JOIN params p ON p.run_identity = l.run_identity AND p.config_id = l.config_id
        AND p.name = :name
WHERE l.run_identity = :search ORDER BY p.value IS NULL, p.value, l.rank LIMIT :limit"""

_BY_METRIC = f"""
SELECT {", ".join(f"l.{name}" for name in COLUMNS)} FROM leaderboard l
    LEFT JOIN metrics m ON m.run_identity = l.run_identity AND m.config_id = l.config_id
        AND m.epochs = l.epochs AND m.name = :name
WHERE l.run_identity = :search ORDER BY m.value IS NULL, m.value DESC, l.rank LIMIT :limit"""

_PARAMS = "SELECT config_id, name, value FROM params WHERE run_identity = ?"

_METRICS = """
SELECT config_id, name, value FROM metrics
WHERE run_identity = ? AND (config_id, epochs) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"""

_ANY_METRIC = "SELECT 1 FROM _metric LIMIT 1"

_OF_THESE = " AND config_id IN (SELECT value FROM json_each(?))"

_NAMES = """
SELECT DISTINCT name, 'params' AS view FROM params WHERE run_identity = :search
UNION SELECT DISTINCT name, 'metrics' FROM metrics WHERE run_identity = :search"""


def ranking(
    connection: sqlite3.Connection, run_identity: str, sort: str, limit: int | None
) -> list[Row]:
    """The first `limit` configs by `sort`, all if None: COLUMNS, `params` and `metrics` by name.

    Metrics are those that stand beside the loss that ranks the config.
    `sort` is loss (the best first), epochs or seconds (the largest first), or the name of a
    parameter (the smallest first) or, where none is called so, of a metric (the largest first).
    """
    sql = _sorted_by(connection, run_identity, sort)
    values = {"search": run_identity, "name": sort, "limit": -1 if limit is None else limit}
    found = rows(connection, sql, values)
    params = params_of(
        connection, run_identity, None if limit is None else [row["config_id"] for row in found]
    )
    metrics = _metrics_of(connection, run_identity, found)
    return [
        {**row, "params": params.get(one, {}), "metrics": metrics.get(one, {})}
        for row in found
        for one in [row["config_id"]]
    ]


def _sorted_by(connection: sqlite3.Connection, run_identity: str, sort: str) -> str:
    """The query that sorts so."""
    if sort in ORDERS:
        return _RANKED.format(order=ORDERS[sort])
    views = [row["view"] for row in _names(connection, run_identity) if row["name"] == sort]
    return _BY_METRIC if views == ["metrics"] else _BY_PARAMETER


def _names(connection: sqlite3.Connection, run_identity: str) -> list[Row]:
    """The names of the search's parameters and metrics, each with the view that has it."""
    return rows(connection, _NAMES, {"search": run_identity})


def _metrics_of(
    connection: sqlite3.Connection, run_identity: str, ranked: Sequence[Row]
) -> dict[str, Row]:
    """The metrics of these configs at the budget of their loss, by their names."""
    if not rows(connection, _ANY_METRIC):  # then no config need be looked at
        return {}
    best = json.dumps([(row["config_id"], row["epochs"]) for row in ranked])
    found: dict[str, Row] = {}
    for config_id, name, value in connection.execute(_METRICS, [run_identity, best]):
        found.setdefault(config_id, {})[intern(name)] = value
    return found


def params_of(
    connection: sqlite3.Connection, run_identity: str, config_ids: Sequence[str] | None = None
) -> dict[str, Row]:
    """The parameters of these configs by their names, or of all; nothing for opaque ids."""
    sql, values = _PARAMS, [run_identity]
    if config_ids is not None:
        sql, values = _PARAMS + _OF_THESE, [run_identity, json.dumps(config_ids)]
    found: dict[str, Row] = {}
    for config_id, name, value in connection.execute(sql, values):
        found.setdefault(intern(config_id), {})[intern(name)] = value
    return found


def named_params(connection: sqlite3.Connection, run_identity: str, config_id: str | None) -> Row:
    """The parameters of a config in the order in which its id has them."""
    params = (
        params_of(connection, run_identity, [config_id]).get(config_id, {}) if config_id else {}
    )
    return {name: params[name] for name in in_order_of(config_id or "", params)}


def unused_sentence(ranked: Sequence[Row]) -> str:
    """That results are shown which no place uses any more; nothing if there are none."""
    count = sum(row["bracket"] is None for row in ranked)
    if not count:
        return ""
    return (
        f"Without a bracket: {count} of these. No place uses that result any more, for failures "
        "were taken back or the search grew; it counts for the best all the same."
    )


def names_of(ranked: Sequence[Row]) -> list[str]:
    """The parameters of these configs, as the best one's id names them; then all others."""
    names = list(dict.fromkeys(name for row in ranked for name in row["params"]))
    return in_order_of(ranked[0]["config_id"], names) if names else []


def metrics_of(ranked: Sequence[Row]) -> list[str]:
    """The names of what stands beside the losses of these configs."""
    return list(dict.fromkeys(name for row in ranked for name in row["metrics"]))


def in_order_of(config_id: str, names: Iterable[str]) -> list[str]:
    """The names of parameters in the order in which the id has them; those it lacks come last."""

    def place(name: str) -> int:
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", config_id)
        return found.start() if found else len(config_id)

    return sorted(names, key=place)


def require_sortable(connection: sqlite3.Connection, searches: Iterable[str], sort: str) -> None:
    """Raise UsageError, with the choices, when no search has what --sort names."""
    if sort in ORDERS:
        return
    names = {row["name"] for search in searches for row in _names(connection, search)}
    if sort not in names:
        known = ", ".join(map(printable, [*ORDERS, *sorted(names)]))
        raise UsageError(
            f"Nothing can be sorted by {printable(repr(sort))}. There is: {known}.", see="no-column"
        )
