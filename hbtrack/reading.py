"""Read a database with the standard library's sqlite3: nothing is created, nothing is changed."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hbtrack.database.location import existing_database, search_folder
from hbtrack.database.revision import (
    REVISION,
    explain,
    require_not_newer,
    require_sound,
    revision_of,
)
from hbtrack.display import printable
from hbtrack.errors import Conflict, HbtrackError, NotFound
from hbtrack.executors.worker_files import WorkerFiles
from hbtrack.ownership import Owner, owner_of

Row = dict[str, Any]


@contextmanager
def connected(option: str | None) -> Iterator[sqlite3.Connection]:
    """A read-only connection to the database that `--db` names.

    Raises NotFound when there is none, Conflict when its schema is not this version's, and
    HbtrackError when it turns out to be damaged.
    """
    path = existing_database(option)
    with closing(_open(path)) as connection:
        try:
            _require_this_schema(connection, path)
            connection.row_factory = sqlite3.Row
            yield connection
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise explain(error, path) from error
        except (LookupError, TypeError, ValueError):  # what a damaged page may look like
            require_sound(path)
            raise


def _require_this_schema(connection: sqlite3.Connection, path: Path) -> None:
    revision = revision_of(connection, path)
    if revision is None:
        raise NotFound(f"{path} is empty; start a search with `hbtrack run`.")
    require_not_newer(revision, path)
    if revision != REVISION:
        raise Conflict(
            f"{path} has the older schema {revision}, which only writing commands bring to "
            f"{REVISION}. Nothing was changed; type: hbtrack db upgrade --db {path}"
        )


def _open(path: Path) -> sqlite3.Connection:
    """Open read-only, also where SQLite cannot make the -shm file that it needs.

    A file without a -wal never changes by itself, so it can be read as it is; one with a -wal but
    no -shm is read from a copy.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        try:
            return _usable(f"file:{quote(str(path))}?mode=ro")
        except sqlite3.OperationalError:
            if not wal.exists():
                return _usable(f"file:{quote(str(path))}?mode=ro&immutable=1")
            with tempfile.TemporaryDirectory() as folder:
                for file in (path, wal):
                    shutil.copyfile(file, Path(folder, file.name))
                return _usable(f"file:{quote(folder)}/{quote(path.name)}")
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise HbtrackError(
            f"{path} cannot be read: {error}. If it is damaged, restore a backup; or name another "
            "with --db PATH."
        ) from error


def _usable(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=10)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def rows(
    connection: sqlite3.Connection, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[Row]:
    """The rows of a query, as dicts."""
    with closing(connection.execute(sql, values)) as cursor:
        return [dict(row) for row in cursor]


def match_identity(identities: Sequence[str], pattern: str | None) -> list[str]:
    """The identities that `--identity` means: exactly that one, else those a shell pattern fits.

    Raises NotFound, with the nearest names, when there is none.
    """
    if pattern is None:
        return list(identities)
    if pattern in identities:
        return [pattern]
    found = [identity for identity in identities if fnmatchcase(identity, pattern)]
    if not found:
        near = get_close_matches(pattern, identities, n=3, cutoff=0.3) or list(identities)[:3]
        names = ", ".join(printable(repr(name)) for name in near)
        raise NotFound(
            f"No search is called {printable(repr(pattern))}. "
            + (f"The nearest: {names}." if near else "There is no search at all.")
        )
    return found


@dataclass(frozen=True, slots=True)
class State:
    """What is true of a search now, found by looking: running, orphaned, interrupted, ..."""

    word: str
    owner: Owner | None


def state_of(connection: sqlite3.Connection, path: Path, run_identity: str) -> State:
    """Look at the locks of a search; nothing is repaired.

    running: a driver owns it. orphaned: scripts of a dead driver still run. interrupted: nothing
    runs, there is more to do. stopped, finished: as recorded.
    """
    search = rows(
        connection, "SELECT pk, status FROM search WHERE run_identity = ?", [run_identity]
    )
    pk, status = search[0]["pk"], search[0]["status"]
    folder = search_folder(path, pk)
    owner = owner_of(folder)
    if owner:
        return State("running", owner)
    workers = rows(
        connection,
        "SELECT a.worker FROM attempt a JOIN driver d ON d.pk = a.driver_pk "
        "WHERE a.finished_at IS NULL AND d.search_pk = ?",
        [pk],
    )
    if any(WorkerFiles(folder, row["worker"]).held() for row in workers):
        return State("orphaned", None)
    return State("interrupted" if status == "unfinished" else status, None)
