"""The configs that have a loss, in the order asked for, each with its parameters."""

import json
import re
import sqlite3
from collections.abc import Iterable, Sequence
from sys import intern

from hbtrack.errors import UsageError
from hbtrack.store.reading import Row, rows
from hbtrack.text import printable

COLUMNS = ("rank", "loss", "epochs", "epochs_reached", "bracket", "config_id", "seconds")

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

_PARAMS = "SELECT config_id, name, value FROM params WHERE run_identity = ?"

_OF_THESE = " AND config_id IN (SELECT value FROM json_each(?))"

_NAMES = "SELECT DISTINCT name FROM params WHERE run_identity = ?"


def ranking(
    connection: sqlite3.Connection, run_identity: str, sort: str, limit: int | None
) -> list[Row]:
    """The first `limit` configs by `sort`, all if None: COLUMNS, and `params` by their names.

    `sort` is loss (the smallest first), epochs or seconds (the largest first), or the name of a
    parameter (the smallest first).
    """
    sql = _RANKED.format(order=ORDERS[sort]) if sort in ORDERS else _BY_PARAMETER
    values = {"search": run_identity, "name": sort, "limit": -1 if limit is None else limit}
    found = rows(connection, sql, values)
    params = params_of(
        connection, run_identity, None if limit is None else [row["config_id"] for row in found]
    )
    return [{**row, "params": params.get(row["config_id"], {})} for row in found]


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
    names = {row["name"] for search in searches for row in rows(connection, _NAMES, [search])}
    if sort not in names:
        known = ", ".join(map(printable, [*ORDERS, *sorted(names)]))
        raise UsageError(
            f"Nothing can be sorted by {printable(repr(sort))}. There is: {known}.", see="no-column"
        )
