"""Copies of a database that may be in use. Standard library only."""

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hbtrack.database.location import create_private
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.faults import fault_point


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of a database that may be in use; the target is absent or complete.

    `cp` of a database in use loses what is still in its -wal file; this uses SQLite's backup API.
    """
    if target.exists():
        raise UsageError(
            f"{target} exists already and was not overwritten; name another file.",
            see="destination",
        )
    try:
        # In a folder of its own: nobody else knows its name, or can put anything in its place.
        with TemporaryDirectory(prefix=".hbtrack-backup-", dir=target.parent) as folder:
            partial = Path(folder, target.name)
            create_private(partial)
            with (
                closing(sqlite3.connect(source, timeout=60)) as reading,
                closing(sqlite3.connect(partial)) as writing,
            ):
                reading.backup(writing)
                writing.execute("PRAGMA journal_mode = DELETE")  # one file, whole
            fault_point("backup.copied")
            partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise HbtrackError(
            f"{source} could not be copied to {target}: {error}.", see="cannot-write"
        ) from error


def backup_before_upgrade(path: Path, revision: str) -> Path:
    """A copy of a database of that revision, under a name that no earlier one has."""
    first = backup = path.with_name(f"{path.name}.backup-{revision}")
    number = 1
    while backup.exists():
        number += 1
        backup = first.with_name(f"{first.name}-{number}")
    copy_database(path, backup)
    return backup
