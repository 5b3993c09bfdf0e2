"""Make a database, and bring one to this version's schema; make and move copies of it.

The migrations are Alembic revisions in the top-level folder `migrations`, which travels inside the
wheel. Alembic, and SQLAlchemy with it, is imported only when there is something to upgrade: a new
database is made at once what they come to.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hbtrack.database import views
from hbtrack.database.connection import BUSY_SECONDS, Database
from hbtrack.database.location import create_private
from hbtrack.database.revision import (
    APPLICATION_ID,
    REVISION,
    explain,
    migrations_folder,
    peek,
    require_not_newer,
    require_sound,
    revision_of,
)
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.faults import fault_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Engine

_TABLES = Path(__file__).with_name("schema.sql")  # what the migrations come to, word for word


@contextmanager
def writable(
    path: Path,
    say: Callable[[str], None],
    *,
    busy_seconds: float = BUSY_SECONDS,
    foreign_keys: bool = True,
) -> Iterator[Database]:
    """The database at `path`, created or upgraded, with its errors in the user's words."""
    backup = prepare_for_writing(path)
    require_sound(path)
    if backup:
        say(f"Upgraded {path}; what it was before is kept in {backup}.")
    try:
        with closing(
            Database(path, foreign_keys=foreign_keys, busy_seconds=busy_seconds)
        ) as database:
            yield database
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise explain(error, path) from error


def prepare_for_writing(path: Path) -> Path | None:
    """Create the file, or upgrade it after a backup; the backup's path if one was made.

    Several processes may do this at once: one of them upgrades, the others wait for it.
    """
    create_private(path)
    revision = peek(path)
    if revision is None:
        _create_tables(path)
    if revision in (None, REVISION):
        return None
    require_not_newer(revision, path)
    kept: list[Path] = []

    def keep(revision: str) -> None:
        kept.append(_backup_of(path, revision))
        copy_database(path, kept[0])

    _run_alembic(path, keep)
    return kept[0] if kept else None


def _backup_of(path: Path, revision: str) -> Path:
    """A name that no earlier backup has."""
    backup = path.with_name(f"{path.name}.backup-{revision}")
    number = 1
    while backup.exists():
        number += 1
        backup = path.with_name(f"{path.name}.backup-{revision}-{number}")
    return backup


def _create_tables(path: Path) -> None:
    try:
        with (
            closing(Database(path)) as database,
            database.transaction() as connection,
        ):
            if revision_of(connection, path) is None:  # nobody else has done so meanwhile
                for statement in statements():
                    fault_point("migration.step")
                    connection.execute(statement)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _plain(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=60)
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _run_alembic(path: Path, keep: Callable[[str], None]) -> None:
    """Upgrade the file; `keep` is told of what revision it was, while nobody else may write to it.

    Not at all where another process has upgraded it meanwhile.
    """
    # They take a while to import, and nearly every start has nothing to upgrade.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", os.fspath(migrations_folder()).replace("%", "%%"))
    config.attributes["keep"] = keep
    try:
        with open_engine(path) as engine, engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explain(error, path) from error
    except HbtrackError:  # such as a signal that came meanwhile
        raise
    except Exception as error:  # whatever a revision may raise
        raise HbtrackError(
            f"The upgrade of {path} failed and was rolled back whole: {error}. "
            "Everything is as it was before.",
            see="upgrade-failed",
        ) from error


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of a database that may be in use; the target is absent or complete.

    `cp` of a database in use loses what is still in its -wal file; this uses SQLite's backup API.
    """
    if target.exists():
        raise UsageError(
            f"{target} exists already and was not overwritten; name another file.",
            see="destination",
        )
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        create_private(partial)
        with closing(_plain(source)) as reading, closing(_plain(partial)) as writing:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, whole
        fault_point("backup.copied")
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise HbtrackError(
            f"{source} could not be copied to {target}: {error}.", see="cannot-write"
        ) from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{partial}{suffix}").unlink(missing_ok=True)


@contextmanager
def open_engine(path: Path) -> "Iterator[Engine]":
    """An engine on the one connection to the file at `path`; its transactions begin as ours do."""
    from sqlalchemy import create_engine, event, pool  # noqa: PLC0415 - likewise

    database = Database(path, foreign_keys=False)
    engine = create_engine(
        "sqlite://", creator=lambda: database.connection, poolclass=pool.StaticPool
    )
    event.listen(engine, "begin", lambda _connection: database.begin())
    try:
        yield engine
    finally:
        engine.dispose()


def statements() -> list[str]:
    """What makes an empty file one of this version."""
    return [
        *_TABLES.read_text().removesuffix(";\n").split(";\n"),
        f"INSERT INTO alembic_version VALUES ('{REVISION}')",
        *finishing_statements(),
    ]


def finishing_statements() -> list[str]:
    """What every file has whose tables are of this version: its views, and its own marks."""
    return [
        *views.create_statements(),
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {int(REVISION)}",
    ]
