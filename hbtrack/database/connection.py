"""The one connection with which a process writes to the SQLite file.

Set up so that nothing is ever lost between two writers: every transaction begins with BEGIN
IMMEDIATE. Standard library only.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hbtrack.database.filesystem import is_shared, kind_of
from hbtrack.errors import HbtrackError

BUSY_SECONDS = 60.0
"""How long a writer waits for another writer."""

BUSY_SLICE = 0.2
"""Seconds of it that SQLite waits in one piece, in which no signal is heard."""


class Database:
    """The file at `path`, for writing: WAL, synchronous=FULL, BEGIN IMMEDIATE.

    A rollback journal instead of the WAL where several machines may use the file system.
    """

    def __init__(
        self, path: Path, *, foreign_keys: bool = True, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self.path = path
        self.wal_bytes = 0
        """How long the file was, at the last begin, that commits go to first."""
        self._names = (os.fspath(path), f"{path}-wal")
        self._seen: dict[str, tuple[int, int]] = {}
        self._shared = is_shared(kind_of(path))
        # None: sqlite3 begins no transactions by itself.
        self.connection = sqlite3.connect(path, isolation_level=None)
        with ExitStack() as undo:  # a file that is damaged is not left open
            undo.callback(self.close)
            self.wait_at_most(busy_seconds)
            self.connection.execute(f"PRAGMA foreign_keys = {int(foreign_keys)}")
            self._patiently(f"PRAGMA journal_mode = {'DELETE' if self._shared else 'WAL'}")
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA trusted_schema = OFF")
            undo.pop_all()

    def wait_at_most(self, seconds: float) -> None:
        """From now on so long for another writer."""
        self._busy_seconds = seconds
        in_one_piece = seconds if self._shared else BUSY_SLICE
        self.connection.execute(f"PRAGMA busy_timeout = {int(in_one_piece * 1000)}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done with the connection, or nothing."""
        self.begin()
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:  # some errors end it by themselves
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def without_foreign_keys(self) -> Iterator[sqlite3.Connection]:
        """A transaction in which rows may refer to such as are gone."""
        self.connection.execute("PRAGMA foreign_keys = OFF")
        try:
            with self.transaction() as connection:
                yield connection
        finally:
            self.connection.execute("PRAGMA foreign_keys = ON")

    def begin(self) -> None:
        """Become the only writer, as patiently as was said."""
        self._look()
        self._patiently("BEGIN IMMEDIATE")

    def _patiently(self, statement: str) -> None:
        """Run it as soon as no other process writes.

        SQLite does not wait by itself before the file is in WAL mode.
        """
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                self.connection.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def close(self) -> None:
        """Nothing is written any more."""
        self.connection.close()

    def _look(self) -> None:
        """See when the file was deleted, renamed or replaced while we had it open.

        Commits would still succeed then, into a file that nobody will ever find again. So it is
        with the -wal beside it.
        """
        for name in self._names:
            try:
                state = os.stat(name)  # noqa: PTH116 - asked at each commit
                now, self.wal_bytes = (state.st_dev, state.st_ino), state.st_size
            except FileNotFoundError:
                now, self.wal_bytes = None, 0
            if now is not None and name not in self._seen:
                self._seen[name] = now
            if now != self._seen.get(name):
                raise HbtrackError(
                    f"{name} was deleted, renamed or replaced while it was in use, so nothing more "
                    "is written. Running scripts go on, and what they come to is kept in "
                    f"{self.path}.d: put the file back and type `hbtrack resume`.",
                    see="file-replaced",
                )


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
