"""Bring a database to this version's schema; make and move copies of it.

The migrations are Alembic revisions in the top-level folder `migrations`, which travels inside the
wheel. Alembic is imported only when there is something to upgrade.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from hbtrack.database.engine import BUSY_SECONDS, open_engine
from hbtrack.database.location import create_private
from hbtrack.database.revision import (
    REVISION,
    explain,
    migrations_folder,
    peek,
    require_not_newer,
    require_sound,
)
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.faults import passing


@contextmanager
def writable(
    path: Path,
    say: Callable[[str], None],
    *,
    busy_seconds: float = BUSY_SECONDS,
    foreign_keys: bool = True,
) -> Iterator[Engine]:
    """The database at `path`, created or upgraded, with its errors in the user's words."""
    backup = prepare_for_writing(path)
    require_sound(path)
    if backup:
        say(f"Upgraded {path}; what it was before is kept in {backup}.")
    engine = open_engine(path, foreign_keys=foreign_keys, busy_seconds=busy_seconds)
    try:
        yield engine
    except (DBAPIError, UnicodeDecodeError) as error:
        raise explain(error, path) from error
    finally:
        engine.dispose()


def prepare_for_writing(path: Path) -> Path | None:
    """Create the file, or upgrade it after a backup; the backup's path if one was made.

    Several processes may do this at once: one of them upgrades, the others wait for it.
    """
    create_private(path)
    revision = peek(path)
    if revision == REVISION:
        return None
    backup = None
    if revision is not None:
        require_not_newer(revision, path)
        backup = path.with_name(f"{path.name}.backup-{revision}")
        number = 1
        while backup.exists():
            number += 1
            backup = path.with_name(f"{path.name}.backup-{revision}-{number}")
        copy_database(path, backup)
    _run_alembic(path)
    return backup


def _plain(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=60)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _run_alembic(path: Path) -> None:
    # Alembic takes a while to import, and nearly every start has nothing to upgrade.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    engine = open_engine(path, foreign_keys=False)
    config = Config()
    config.set_main_option("script_location", os.fspath(migrations_folder()).replace("%", "%%"))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise explain(error, path) from error
    except HbtrackError:  # such as a signal that came meanwhile
        raise
    except Exception as error:  # whatever a revision may raise
        raise HbtrackError(
            f"The upgrade of {path} failed and was rolled back whole: {error}. "
            "Everything is as it was before."
        ) from error
    finally:
        engine.dispose()


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of a database that may be in use; the target is absent or complete.

    `cp` of a database in use loses what is still in its -wal file; this uses SQLite's backup API.
    """
    if target.exists():
        raise UsageError(f"{target} exists already and was not overwritten; name another file.")
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        create_private(partial)
        with closing(_plain(source)) as reading, closing(_plain(partial)) as writing:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, whole
        passing("backup.copied")
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise HbtrackError(f"{source} could not be copied to {target}: {error}.") from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{partial}{suffix}").unlink(missing_ok=True)
