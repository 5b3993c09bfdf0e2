"""Open a file for reading, in every state that a killed writer may leave it in. Standard library.

Nothing is created that stays, and nothing is changed but what a kill interrupted: SQLite takes back
a half-written transaction before anybody reads, which a read-only connection may not do.
"""

import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote


def read_only(path: Path, patience: float = 60.0) -> sqlite3.Connection:
    """A read-only connection that has read the schema; waits so many seconds for a writer.

    Raises sqlite3.Error, UnicodeDecodeError or OSError where the file cannot be read.
    """
    try:
        return _usable(path, "mode=ro", patience)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
            with suppress(sqlite3.OperationalError):  # if it may not be changed by us
                _usable(path, "mode=rw", patience).close()
                return _usable(path, "mode=ro", patience)
        return _where_nothing_can_be_made(path, patience)


def _where_nothing_can_be_made(path: Path, patience: float) -> sqlite3.Connection:
    """Without a file of unfinished work beside it a file is complete, else a copy becomes so."""
    beside = (path.with_name(path.name + ending) for ending in ("-wal", "-journal"))
    left = [file for file in beside if file.exists()]
    if not left:
        return _usable(path, "mode=ro&immutable=1", patience)
    import tempfile  # noqa: PLC0415 - slow to import, and rarely needed

    with tempfile.TemporaryDirectory() as folder:
        for file in (path, *left):
            shutil.copyfile(file, Path(folder, file.name))
        return _usable(Path(folder, path.name), "mode=rw", patience)


def _usable(path: Path, how: str, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(bytes(path))}?{how}", uri=True, timeout=patience)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
