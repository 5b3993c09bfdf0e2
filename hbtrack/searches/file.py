"""The database file of a command that changes something: all that it asks goes through one opening.

Nothing is made and nothing upgraded before the first question.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from hbtrack.database.connection import Database
from hbtrack.database.location import search_folders
from hbtrack.database.revision import REVISION, explain, peek
from hbtrack.database.trust import require_own
from hbtrack.database.upgrade import writable
from hbtrack.driver.interfaces import Tolerances
from hbtrack.driver.lock import require_no_driver
from hbtrack.searches.one_name import hold_name

Answer = TypeVar("Answer")


def require_idle(path: Path) -> None:
    """Raise Conflict while a driver runs a search of the file, which is about to be upgraded."""
    require_no_driver(path, search_folders(path))


@dataclass(frozen=True, slots=True)
class Settings:
    """How a command is to be run, apart from what is stored with its searches."""

    import_timeout: float
    tolerances: Tolerances
    patience: float  # seconds to wait for a disk that is full or a database that is locked
    say: Callable[[str], None]  # a sentence for the user, on stderr


class DatabaseFile:
    """The file at `path`, opened when it is first asked. Use as a context manager.

    Raises Conflict where somebody else may write to it, or it is used under another name.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings
        self._database: Database | None = None
        self._opening = ExitStack()
        self._name_lock: int | None = None

    def __enter__(self) -> Self:
        require_own(self.path, self.settings.say)  # before a script is asked anything
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._name_lock is not None:
            os.close(self._name_lock)

    def _hold_name(self) -> None:
        """From now on nobody writes to the file under another name."""
        if self._name_lock is None:
            self._name_lock = hold_name(self.path)

    @property
    def is_current(self) -> bool:
        """Whether it is there and of this version, so that opening it changes nothing."""
        if self._database is not None:
            return True
        return self.path.exists() and peek(self.path) == REVISION

    @contextmanager
    def database(self, busy_seconds: float | None = None) -> Iterator[Database]:
        """The open file, created or upgraded, with its errors in the user's words.

        It waits so long for another writer, or as long as the settings say.
        """
        if busy_seconds is None:
            busy_seconds = self.settings.patience
        if self._database is None:
            if self.path.exists() and self._name_lock is None:
                peek(self.path)  # nothing is made for a file that is not ours
                self._hold_name()
            opening = writable(
                self.path, self.settings.say, require_idle=require_idle, busy_seconds=busy_seconds
            )
            self._database = self._opening.enter_context(opening)
            self._hold_name()  # it may be new
        try:
            self._database.wait_at_most(busy_seconds)
            yield self._database
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise explain(error, self.path) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done with the connection, or nothing."""
        with self.database() as database, database.transaction() as connection:
            yield connection

    def glance(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """What a quick question finds, for what is shown; None where the file is not open.

        So it is where it cannot be read just now, or is being written to: what would go wrong then
        must not take a transaction with it.
        """
        if self._database is None or self._database.connection.in_transaction:
            return None
        with suppress(sqlite3.Error, UnicodeDecodeError):
            return question(self._database.connection)
        return None

    def close(self) -> None:
        """Let the file go; who asks it again opens it anew."""
        self._database = None
        self._opening.close()
