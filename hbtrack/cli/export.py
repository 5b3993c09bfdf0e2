"""`hbtrack export`: every view of the searches that match, as files of another format."""

import argparse
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from hbtrack.cli import complain, tables
from hbtrack.database.dictionary import DICTIONARY
from hbtrack.errors import UsageError
from hbtrack.faults import fault_point
from hbtrack.store.reading import chosen_names, snapshot, view_rows


def main(args: argparse.Namespace) -> int:
    """Write all or nothing: exit 2 when DEST exists, 3 when nothing matches.

    One transaction reads it all, so that a running search is shown at one moment.
    """
    target = Path(args.dest).absolute()
    _require_new(target)
    if args.raw and args.form != "csv":
        raise UsageError(
            f"--raw is about cells of csv; {args.form} is as it is. Leave it out.",
            see="command-line",
        )
    with snapshot(args.db) as connection:
        connection.row_factory = None
        chosen = chosen_names(connection, args.identity, some=True)
        with _appears_whole(target) as partial:
            if args.form == "json":
                _write_document(connection, args.identity, partial)
            else:
                _write_folder(connection, args, partial)
    searches = "1 search" if len(chosen) == 1 else f"{len(chosen)} searches"
    complain(f"Wrote {len(DICTIONARY)} views of {searches} to {target}")
    return 0


def _require_new(target: Path) -> None:
    if os.path.lexists(target):
        raise UsageError(
            f"{target} exists already and was not touched; name another DEST.", see="destination"
        )
    if not target.parent.is_dir():
        raise UsageError(
            f"There is no folder {target.parent}; nothing was written.", see="destination"
        )


@contextmanager
def _appears_whole(target: Path) -> Iterator[Path]:
    """A path to write to, in a private folder beside the target, that becomes it at the end."""
    with TemporaryDirectory(prefix=".hbtrack-export-", dir=target.parent) as folder:
        partial = Path(folder, target.name)
        yield partial
        _require_new(target)
        partial.rename(target)


def _write_folder(connection: sqlite3.Connection, args: argparse.Namespace, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for view, columns, rows in _views(connection, args.identity):
        if args.form == "csv":
            lines = tables.separated(columns, rows, raw=args.raw)
        else:
            lines = (tables.line(dict(zip(columns, row, strict=True))) for row in rows)
        with _create(folder / f"{view}.{args.form}") as file:
            file.writelines(f"{line}\n" for line in lines)


def _write_document(connection: sqlite3.Connection, identity: str | None, path: Path) -> None:
    """One JSON document, a row in a line; it is never in memory as a whole."""
    with _create(path) as file:
        file.write('{"schema": "hbtrack.export/1", "views": {')
        for number, (view, columns, rows) in enumerate(_views(connection, identity)):
            file.write(f'{"," if number else ""}\n"{view}": [')
            for place, row in enumerate(rows):
                line = tables.line(dict(zip(columns, row, strict=True)))
                file.write(f"{',' if place else ''}\n{line}")
            file.write("\n]")
        file.write("\n}}\n")


def _views(
    connection: sqlite3.Connection, identity: str | None
) -> Iterator[tuple[str, list[str], sqlite3.Cursor]]:
    """Each view with its columns and its rows."""
    for view in DICTIONARY:
        fault_point("export.view")
        yield view, *view_rows(connection, view, identity)


def _create(path: Path) -> TextIO:
    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return open(path, "x", encoding="utf-8", newline="", opener=private)
