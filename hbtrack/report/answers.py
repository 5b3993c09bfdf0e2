"""What Python is given by `hbtrack.connect` and `hbtrack.read`: rows, and refusals in its words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from hbtrack.database.location import database_path, existing_database
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.report.columns import distinct
from hbtrack.report.queries import WIDE, find_query, prepared, query_text
from hbtrack.report.wide import wide_columns, widened, with_params_as_named
from hbtrack.store.reading import Row, glob_of, opened, rows, snapshot, view_rows
from hbtrack.text import printable

_IN_PYTHON = {
    "with --db PATH": 'with path="FILE"',
    "with --identity": "with identity=",
    "does not ask for --identity": "does not ask for identity=",
    'hbtrack sql "SELECT * FROM data_dictionary"': 'hbtrack.read("data_dictionary")',
    "type: hbtrack": "type in a shell: hbtrack",
    "All of them: hbtrack": "All of them, in a shell: hbtrack",
}
"""What commands are told, and what calls are told instead."""

_NO_QUERY = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY)


def connect(path: str | None) -> sqlite3.Connection:
    """A read-only connection, for its caller to close."""
    with _refused_in_python():
        return opened(existing_database(path))


def read(view: str, identity: str | None, path: str | None, *, params: bool) -> list[Row]:
    """The rows of a view, of a query `@NAME`, or with `params` of the leaderboard that has them."""
    with _refused_in_python(), snapshot(path) as connection:
        connection.row_factory = None
        if params:
            return _leaderboard(connection, view, identity)
        if view.startswith("@"):
            query, values = prepared(connection, find_query(view, database_path(path)), identity)
            return _asked(connection, query, values)
        columns, found = view_rows(connection, view, identity)
        return [dict(zip(columns, row, strict=True)) for row in found]


def _leaderboard(connection: sqlite3.Connection, view: str, identity: str | None) -> list[Row]:
    if view != "leaderboard":
        raise UsageError(
            f"params=True was asked of {printable(repr(view))}, and only the leaderboard has its "
            'parameters as columns. Type hbtrack.read("leaderboard", params=True), or take '
            'hbtrack.read("params") and join it.',
            see="command-line",
        )
    glob = glob_of(connection, identity)
    columns = wide_columns(connection, glob, one_type=False)
    found = rows(connection, widened(query_text(WIDE), columns), {"identity": glob})
    return [with_params_as_named(row, columns) for row in found]


def _asked(connection: sqlite3.Connection, query: str, values: dict[str, str]) -> list[Row]:
    """The rows of a query that somebody may have written. Raises UsageError where it is none."""
    try:
        cursor = connection.execute(query, values)
        columns = distinct(column[0] for column in cursor.description or ())
        found = [dict(zip(columns, row, strict=True)) for row in cursor]
    except (sqlite3.Error, sqlite3.Warning) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code not in _NO_QUERY:
            raise
        raise UsageError(
            f"SQLite says: {str(error).rstrip('.')}. The views and columns: "
            'hbtrack.read("data_dictionary")',
            see="bad-query",
        ) from error
    if not columns:
        raise UsageError("The query gives no rows; it must be one SELECT.", see="read-only")
    return found


@contextmanager
def _refused_in_python() -> Iterator[None]:
    try:
        yield
    except HbtrackError as error:
        text = str(error)
        for told, instead in _IN_PYTHON.items():
            text = text.replace(told, instead)
        error.args = (text,)
        raise
