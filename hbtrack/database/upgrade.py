"""Open the file for writing: made where there is none, upgraded where it is older.

The migrations are Alembic revisions in the top-level folder `migrations`, which travels inside the
wheel. Alembic, and SQLAlchemy with it, is imported only when there is something to upgrade: a new
file is made at once what they come to.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hbtrack.database.backup import backup_before_upgrade
from hbtrack.database.connection import BUSY_SECONDS, Database
from hbtrack.database.location import create_private
from hbtrack.database.revision import (
    REVISION,
    explain,
    migrations_folder,
    peek,
    require_not_newer,
    require_sound,
    revision_of,
)
from hbtrack.database.trust import require_own
from hbtrack.errors import HbtrackError
from hbtrack.faults import fault_point


@contextmanager
def writable(
    path: Path,
    say: Callable[[str], None],
    *,
    require_idle: Callable[[Path], None] = lambda _: None,
    busy_seconds: float = BUSY_SECONDS,
) -> Iterator[Database]:
    """The database at `path`, created or upgraded, with its errors in the user's words."""
    backup = prepare_for_writing(path, say, require_idle)
    require_sound(path)
    if backup:
        say(f"Upgraded {path}; what it was before is kept in {backup}.")
    try:
        with closing(Database(path, busy_seconds=busy_seconds)) as database:
            yield database
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explain(error, path) from error


def prepare_for_writing(
    path: Path,
    say: Callable[[str], None] = print,
    require_idle: Callable[[Path], None] = lambda _: None,
) -> Path | None:
    """Create the file, or upgrade it after a backup; the backup's path if one was made.

    Several processes may do this at once: one of them upgrades, the others wait for it. Raises
    Conflict where somebody else may write to it; root is told that, by `say`. `require_idle` raises
    it while a driver of an older version runs a search of the file.
    """
    require_own(path, say)
    if not create_private(path):
        require_own(path, say)  # somebody may have made it just now
    revision = peek(path)
    if revision is None:
        _create(path)
    if revision in (None, REVISION):
        return None
    require_not_newer(revision, path)
    return _upgrade(path, require_idle)


def _create(path: Path) -> None:
    from hbtrack.database.ddl import create_statements  # noqa: PLC0415 - for new files only

    try:
        with (
            closing(Database(path)) as database,
            database.transaction() as connection,
        ):
            if revision_of(connection, path) is None:  # nobody else has done so meanwhile
                for statement in create_statements():
                    fault_point("migration.step")
                    connection.execute(statement)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _upgrade(path: Path, require_idle: Callable[[Path], None]) -> Path | None:
    """Run the migrations; the backup that was made while nobody else could write to the file.

    None where another process has upgraded it meanwhile.
    """
    # They take a while to import, and nearly every start has nothing to upgrade.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", os.fspath(migrations_folder()).replace("%", "%%"))
    kept: list[Path] = []
    config.attributes["path"] = path

    def keep(revision: str) -> None:
        require_idle(path)
        kept.append(backup_before_upgrade(path, revision))

    config.attributes["keep"] = keep
    try:
        command.upgrade(config, "head")
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explain(error, path) from error
    except HbtrackError:  # such as a driver that is alive, or a signal that came meanwhile
        raise
    except Exception as error:  # whatever a revision may raise
        raise HbtrackError(
            f"The upgrade of {path} failed and was rolled back whole: {error}. "
            "Everything is as it was before.",
            see="upgrade-failed",
        ) from error
    return kept[0] if kept else None
