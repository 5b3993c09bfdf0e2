"""The leaderboard with parameters and metrics as columns, which only the database can name.

The query is `queries/wide.sql`; in the place of its line `-- columns` come those of the searches
that are asked for.
"""

import json
import re
import sqlite3
from contextlib import suppress
from typing import Any, NamedTuple

from hbtrack.core.config_params import param_value
from hbtrack.errors import UsageError
from hbtrack.report.columns import column_of
from hbtrack.report.ranking import in_order_of
from hbtrack.store.reading import Row
from hbtrack.text import printable

OWN = (
    *("rank", "run_identity", "config"),
    *("loss", "epochs", "epochs_reached", "bracket", "seconds", "config_id"),
)
"""The columns that are always there."""

_MARK = re.compile(r"^[ \t]*-- columns[ \t]*\n", re.MULTILINE)

_PARAMS = """
SELECT name, group_concat(DISTINCT typeof(value)) FROM params WHERE run_identity GLOB ?
GROUP BY name ORDER BY name"""
_METRICS = "SELECT DISTINCT name FROM metrics WHERE run_identity GLOB ? ORDER BY name"
_BEST = """
SELECT config_id FROM leaderboard WHERE run_identity GLOB ? AND rank = 1
ORDER BY run_identity LIMIT 1"""

_PARAM = """(SELECT {value} FROM params AS p WHERE p.run_identity = l.run_identity
        AND p.config_id = l.config_id AND p.name = {name})"""
_METRIC = """(SELECT m.value FROM metrics AS m WHERE m.run_identity = l.run_identity
        AND m.config_id = l.config_id AND m.epochs = l.epochs AND m.name = {name})"""

_AS_ONE_TYPE = (
    ({"integer"}, "CAST(p.value AS INTEGER)"),
    ({"integer", "real"}, "CAST(p.value AS DOUBLE PRECISION)"),
)
"""What is taken of a parameter whose values, but for NULL, are of these types; else its text.

Programs that give a whole column one type ask for that of `value` as it is declared, or look at the
first rows: both would be wrong of a value as it is stored.
"""


class Column(NamedTuple):
    """A parameter, or a metric, as a column."""

    name: str  # of the column
    param: str | None
    sql: str


def is_wide(query: str) -> bool:
    """Whether a query leaves a place for columns."""
    return _MARK.search(query) is not None


def widened(query: str, columns: list[Column]) -> str:
    """The query with these columns in the place that it leaves for them."""
    lines = "".join(f"    {one.sql} AS {_quoted(one.name)},\n" for one in columns)
    return _MARK.sub(lambda _: lines, query)


def wide_columns(
    connection: sqlite3.Connection, glob: str, *, one_type: bool = True
) -> list[Column]:
    """The parameters, as the best config's id has them, and the metrics of the searches meant.

    With `one_type` all values of a column have it; else each is as it is stored. Raises UsageError
    where they are more than a query may have.
    """
    types = dict(connection.execute(_PARAMS, [glob]))
    metrics = [name for (name,) in connection.execute(_METRICS, [glob])]
    room = connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN) - len(OWN)
    if len(types) + len(metrics) > room:
        raise UsageError(
            f"There are {len(types)} parameters and {len(metrics)} metrics, and a query has room "
            f"for {room}. Ask for fewer searches with --identity, or the views params and metrics.",
            see="query-too-large",
        )
    best = connection.execute(_BEST, [glob]).fetchone()
    taken, columns = [*OWN], []
    for name in in_order_of(best[0] if best else "", types):
        value = _of_one_type(types[name]) if one_type else "p.value"
        sql = _looked_up(_PARAM.replace("{value}", value), name)
        columns.append(Column(column_of(printable(name), taken), name, sql))
        taken.append(columns[-1].name)
    for name in metrics:
        columns.append(Column(column_of(name, taken, "metric"), None, _looked_up(_METRIC, name)))
        taken.append(columns[-1].name)
    return columns


def with_params_as_named(row: Row, columns: list[Column]) -> Row:
    """The row with the parameters as the config's id has them: true and false, and null as None.

    The file keeps these as texts. An id that does not have the parameter so tells nothing.
    """
    own = _own_params(row["config_id"])
    for column in columns:
        value = own.get(column.param)
        if isinstance(value, dict | list) or column.param not in own:
            continue
        if param_value(value) == row[column.name]:
            row[column.name] = value
    return row


def _own_params(config_id: str) -> dict[str | None, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(config_id) if config_id.lstrip().startswith("{") else {}
        return found if isinstance(found, dict) else {}
    return {}


def _of_one_type(types: str) -> str:
    found = {*types.split(",")} - {"null"}
    return next((value for known, value in _AS_ONE_TYPE if found <= known), "p.text")


def _looked_up(sql: str, name: str) -> str:
    return sql.replace("{name}", literal(name))


def literal(text: str) -> str:
    """A text as SQL writes it."""
    if "\0" in text:
        return f"CAST(x'{text.encode().hex()}' AS TEXT)"
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
