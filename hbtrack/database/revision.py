"""Which schema a file has, and whether it is ours at all. Standard library only."""

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hbtrack.database.filesystem import writer_of
from hbtrack.database.reader import read_only
from hbtrack.errors import Conflict, HbtrackError, Unavailable

APPLICATION_ID = 0x48425452  # "HBTR": tells our files from other programs' SQLite files
REVISION = "0005"  # the newest revision in migrations/versions


def migrations_folder() -> Path:
    """The migrations: the packaged copy if there is one, else the checkout's."""
    package = Path(__file__).parent.parent
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parent / "migrations"


def revision_of(connection: sqlite3.Connection, path: Path) -> str | None:
    """The schema revision of an open file; None for an empty one.

    Raises Conflict when the file belongs to another program.
    """
    try:
        # In this order: both are made in one transaction, and another process may do so meanwhile.
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if not tables and application in (0, APPLICATION_ID):
            return None
        if application != APPLICATION_ID or "alembic_version" not in tables:
            raise Conflict(
                f"{path} is a SQLite file of another program; it was not touched. "
                "Name another file with --db PATH.",
                see="foreign-file",
            )
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter from a damaged schema
        raise explain(error, path) from error
    return row[0] if row else None


def readable(path: Path, patience: float = 60.0) -> sqlite3.Connection:
    """A read-only connection like `read_only`'s; why there is none is said in the user's words."""
    try:
        return read_only(path, patience)
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise explain(error, path) from error


def peek(path: Path) -> str | None:
    """The schema revision of a file, without a chance of changing it."""
    with closing(readable(path)) as connection:
        return revision_of(connection, path)


def known_revisions() -> set[str]:
    """The revisions that this hbtrack can upgrade from, its own included."""
    return {file.name.split("_")[0] for file in (migrations_folder() / "versions").glob("[0-9]*")}


def require_not_newer(revision: str, path: Path) -> None:
    """Refuse a file whose schema this hbtrack does not know."""
    if revision not in known_revisions():
        raise Conflict(
            f"{path} was written by a newer hbtrack (schema {revision}, this one has {REVISION}). "
            "It was not touched; install the newer version to go on.",
            see="newer-schema",
        )


@cache
def require_sound(path: Path) -> None:
    """Refuse a file that SQLite finds damaged, before anything is written; once in a process."""
    try:
        with closing(read_only(path)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explain(error, path) from error
    if found != "ok":
        raise HbtrackError(
            f"The database {path} is damaged ({' '.join(found.split())}); nothing was written to "
            "it. Restore a backup, or save what can be read: sqlite3 OLD .recover | sqlite3 NEW",
            see="damaged",
        )


class _Advice(NamedTuple):
    step: str
    see: str


_ADVICE = {
    sqlite3.SQLITE_FULL: _Advice("Make room and type `hbtrack resume`.", see="disk-full"),
    sqlite3.SQLITE_IOERR: _Advice(
        "The disk may be full, over its quota or broken; mend that and type `hbtrack resume`.",
        see="disk-full",
    ),
    sqlite3.SQLITE_BUSY: _Advice("End that and type `hbtrack resume`.", see="database-locked"),
    sqlite3.SQLITE_CANTOPEN: _Advice(
        "It, or a file beside it, cannot be opened; is its folder there, and yours?",
        see="cannot-write",
    ),
    sqlite3.SQLITE_READONLY: _Advice(
        "It cannot be written to; copy it elsewhere, or change its rights.", see="cannot-write"
    ),
    sqlite3.SQLITE_CORRUPT: _Advice(
        "It is damaged; restore a backup (`hbtrack db check` tells more).", see="damaged"
    ),
    sqlite3.SQLITE_NOTADB: _Advice(
        "It is not a SQLite file; name another with --db PATH.", see="foreign-file"
    ),
}
_OTHERWISE = _Advice("Type `hbtrack db check`.", see="damaged")
_FOR_NOW = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}


def explain(error: Exception, path: Path) -> HbtrackError:
    """A database error as a sentence for the user; Unavailable where waiting may help."""
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    if isinstance(original, OSError):
        code, original = sqlite3.SQLITE_CANTOPEN, original.strerror or original
    step, see = _ADVICE.get(code, _OTHERWISE)
    reason = str(original)
    if code == sqlite3.SQLITE_BUSY:
        reason += f"; {writer_of(path)} holds it"
    message = (
        f"The database {path} could not be used: {reason}. "
        f"Everything recorded before this is kept. {step}"
    )
    if code in _FOR_NOW:
        return Unavailable(message, reason, see=see)
    return HbtrackError(message, see=see)
