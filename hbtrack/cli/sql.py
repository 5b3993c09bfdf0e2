"""`hbtrack sql`: one query over the public views, typed or by its name, read-only and bounded.

An authorizer allows SELECT, reading columns, recursion and the functions named here, and nothing
else: `mode=ro` alone would still let ATTACH and VACUUM INTO create files.
"""

import argparse
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from hbtrack.cli import show_error, tables
from hbtrack.database.location import database_path
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.report.columns import distinct
from hbtrack.report.queries import Query, find_query, named_queries, prepared, printed
from hbtrack.report.wide import is_wide
from hbtrack.store.reading import connected

MAX_VALUE_BYTES = 100_000_000  # the longest text that a query may build
MAX_TABLE_BYTES = 100_000_000  # of all cells of an answer that is laid out as a table
TICK = 0.05  # seconds between two looks at how long a query takes

FUNCTIONS = frozenset(
    """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat
    concat_ws cos cosh count cume_dist current_date current_time current_timestamp date datetime
    degrees dense_rank exp first_value floor format glob group_concat hex if ifnull iif instr
    json json_array json_array_length json_each json_extract json_group_array json_group_object
    json_insert json_object json_patch json_quote json_remove json_replace json_set json_tree
    json_type json_valid julianday lag last_value lead length like likelihood likely ln log
    log10 log2 lower ltrim max median min mod nth_value ntile nullif octet_length percent_rank
    percentile percentile_cont percentile_disc pi pow power printf quote radians random rank
    replace round row_number rtrim sign sin sinh soundex sqlite_version sqrt strftime string_agg
    substr substring sum tan tanh time timediff total trim trunc typeof unhex unicode unixepoch
    unlikely upper zeroblob
    """.split()  # noqa: SIM905 - a line for each would be a page
)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)


def main(args: argparse.Namespace) -> int:
    """Show the rows of the query; exit 2 when it is refused, 1 when it takes too long.

    Exit 3 when no query has that name, or no search that identity.
    """
    if args.list:
        return _list(args)
    query = _asked(args)
    if args.print:
        tables.write(_printed(args, query).rstrip("\n"))
        return 0
    return _answer(args, query)


def _list(args: argparse.Namespace) -> int:
    rows = [
        {"name": f"@{query.name}", "answers": query.description, "from": _origin(query)}
        for query in named_queries(database_path(args.db)).values()
    ]
    if args.format == "json":
        tables.write_document("hbtrack.queries/1", queries=rows)
        return 0
    columns = ["name", "answers", "from"]
    if args.format == "simple" and all(row["from"] == "hbtrack" for row in rows):
        columns.remove("from")
    tables.write(tables.fitted(rows, args.format, columns))
    return 0


def _origin(query: Query) -> str:
    if query.is_own:
        return "hbtrack"
    return f"{query.path}, instead of {query.replaces}" if query.replaces else str(query.path)


def _asked(args: argparse.Namespace) -> str:
    """The text of the query that was typed, named or piped in."""
    if args.query is None:
        raise UsageError(
            "Type a SELECT in quotes, or @NAME. `hbtrack sql --list` shows the names, `hbtrack sql "
            "--help` the rest.",
            see="command-line",
        )
    if args.query == "-":
        return sys.stdin.read()
    if args.query.startswith("@"):
        return find_query(args.query, database_path(args.db))
    return str(args.query)


def _printed(args: argparse.Namespace, query: str) -> str:
    """The query as another program can run it; what stands in the file is only printed."""
    if args.identity is None and not is_wide(query):
        return query
    with connected(args.db) as connection:
        connection.row_factory = None
        return printed(connection, query, args.identity)


def _answer(args: argparse.Namespace, query: str) -> int:
    with connected(args.db) as connection:
        connection.row_factory = None
        query, values = prepared(connection, query, args.identity)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        # Their first use needs more rights than any query is given.
        connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").close()
        connection.set_authorizer(_authorize)
        with _Watch(connection, args.time_limit) as watch:
            columns, cells = _rows(connection, query, values, watch)
            _write(args.format, distinct(columns), cells)
    return 0


def _write(form: str, names: list[str], cells: Iterator[tuple[Any, ...]]) -> None:
    """The answer: row by row where the format allows it, so that it may be of any length."""
    if form in ("csv", "tsv"):
        for line in tables.separated(names, cells, "," if form == "csv" else "\t"):
            tables.write(line)
    elif form == "json":
        _write_document(names, cells)
    else:
        rows = [dict(zip(names, line, strict=True)) for line in _bounded(cells)]
        tables.write(tables.fitted(rows, form, names))


def _write_document(names: list[str], cells: Iterator[tuple[Any, ...]]) -> None:
    tables.write(f'{{"schema": "hbtrack.sql/1",\n "columns": {json.dumps(names)},\n "rows": [', "")
    for number, line in enumerate(cells):
        row = tables.line(dict(zip(names, line, strict=True)))
        tables.write(f"{',' if number else ''}\n  {row}", "")
    tables.write("\n]}")


def _bounded(cells: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, which is laid out as a whole. Raises HbtrackError for a huge one."""
    room = MAX_TABLE_BYTES
    for line in cells:
        room -= sum(len(cell) if isinstance(cell, str | bytes) else 8 for cell in line)
        if room < 0:
            raise HbtrackError(
                f"The answer has more than {MAX_TABLE_BYTES // 10**6} MB, which is too much for a "
                "table. Ask for less of it (LIMIT), or take it row by row: --format csv.",
                see="query-too-large",
            )
        yield line


def _authorize(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
    allowed = action in _ALLOWED or (
        action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FUNCTIONS
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


class _Watch:
    """Ends a query that works for longer than it may; who reads the answer may take their time."""

    def __init__(self, connection: sqlite3.Connection, time_limit: float) -> None:
        self.time_limit = time_limit
        self._connection = connection
        self._worked = 0.0
        self._since: float | None = None  # monotonic; it is at work
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="time limit", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """The query is at work. Raises HbtrackError where it went wrong, in the user's words."""
        self._since = since = time.monotonic()
        try:
            yield
        except MemoryError:
            raise HbtrackError(
                "The answer does not fit into memory; ask for less of it.", see="query-too-large"
            ) from None
        except (sqlite3.Error, sqlite3.Warning, UnicodeError) as error:
            raise _explain(error, self.time_limit) from error
        finally:
            self._since = None
            self._worked += time.monotonic() - since

    def _run(self) -> None:
        while not self._over.wait(TICK):
            if (since := self._since) is None:
                continue
            worked = self._worked + time.monotonic() - since
            if worked > self.time_limit:
                with suppress(sqlite3.Error):  # closed just now
                    self._connection.interrupt()
            # That works between steps of the query only; one long function call is cut short here.
            if worked > self.time_limit + 1:
                _end_process(self.time_limit)


def _rows(
    connection: sqlite3.Connection, query: str, values: dict[str, str], watch: _Watch
) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """The columns of the answer, and its rows as they are asked for."""
    with watch.working():
        cursor = connection.execute(query, values)
        if cursor.description is None:
            raise UsageError(
                "The query gives no rows; hbtrack sql runs one SELECT, read-only.", see="read-only"
            )
        first = cursor.fetchone()  # what goes wrong at once shall be all that is seen

    def fetch() -> Iterator[tuple[Any, ...]]:
        row = first
        while row is not None:
            yield row
            with watch.working():
                row = cursor.fetchone()

    return [column[0] for column in cursor.description], fetch()


def _explain(error: Exception, time_limit: float) -> HbtrackError:
    text = str(error).rstrip(".")
    if text == "interrupted":
        return _too_long(time_limit)
    damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
    if damaged or isinstance(error, UnicodeDecodeError):
        return HbtrackError(f"The database is damaged: {text!a}. Restore a backup.", see="damaged")
    if "not authorized" in text or "prohibited" in text:
        return UsageError(
            f"The query was refused: {text}. hbtrack sql only reads; for anything else work on "
            "a copy (`hbtrack db backup FILE`) with the sqlite3 program.",
            see="read-only",
        )
    return UsageError(
        f'SQLite says: {text}. The views and columns: hbtrack sql "SELECT * FROM data_dictionary"',
        see="bad-query",
    )


def _too_long(time_limit: float) -> HbtrackError:
    return HbtrackError(
        f"The query took longer than {time_limit:g} s; give it more with --time-limit SECONDS.",
        see="query-too-large",
    )


def _end_process(time_limit: float) -> None:
    """Refuse a query that cannot be interrupted, and end hbtrack with it."""
    error = _too_long(time_limit)
    show_error(error)
    os._exit(error.exit_code)
