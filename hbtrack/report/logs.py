"""What an attempt printed: from its worker's files while it runs, afterwards from the database.

A worker's files are emptied for its next attempt, once the end of this one is committed: what is
read of them counts only if the attempt is still open after that.
"""

import codecs
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.execution import attempt_name
from hbtrack.database.location import search_folder
from hbtrack.errors import NotFound
from hbtrack.executors.worker_files import KEPT, LOG_HEAD, WorkerFiles
from hbtrack.report.called import Called, called
from hbtrack.store.reading import rows

PIECE = 64 * 1024
"""Bytes that are read at once."""

_ATTEMPTS = """
SELECT s.pk AS search_pk, s.token, a.pk, e.epochs, a.attempt, a.worker
FROM _attempt a
    JOIN _evaluation e ON e.pk = a.evaluation_pk
    JOIN _config c ON c.pk = e.config_pk
    JOIN _search s ON s.pk = c.search_pk
WHERE s.run_identity = ? AND c.config_id = ? ORDER BY e.epochs, a.attempt"""

_LATEST = """
SELECT s.run_identity, c.config_id
FROM _attempt a
    CROSS JOIN _evaluation e ON e.pk = a.evaluation_pk
    CROSS JOIN _config c ON c.pk = e.config_pk
    CROSS JOIN _search s ON s.pk = c.search_pk
WHERE s.run_identity IN (SELECT value FROM json_each(?)) ORDER BY a.pk DESC LIMIT 1"""

_OPEN = "SELECT status FROM _attempt WHERE pk = ? AND finished_at IS NULL"

_OUTPUT = "SELECT stdout, stderr, log FROM _output WHERE attempt_pk = ?"

_CUT = re.compile(rb"\n\[hbtrack left out (\d+) bytes here\]\n")


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """An attempt whose output can be read."""

    database: Path
    search_pk: int
    token: str
    pk: int
    config: Called
    epochs: int
    attempt: int  # its number, from 1
    worker: int

    @property
    def folder(self) -> Path:
        """The folder of its search."""
        return search_folder(self.database, self.search_pk)

    @property
    def name(self) -> str:
        """Its HBTRACK_ATTEMPT, which its worker's lock file says."""
        return attempt_name(self.token, self.pk)

    @property
    def files(self) -> WorkerFiles:
        """The files that it prints to while it runs."""
        return WorkerFiles(self.folder, self.worker)

    def is_open(self, connection: sqlite3.Connection) -> bool:
        """Whether its end is not recorded yet."""
        return bool(rows(connection, _OPEN, [self.pk]))

    def is_alive(self) -> bool:
        """Whether its process may still print; only of an attempt that is open."""
        return not self.files.record(self.name).ended and self.files.held()


def find_latest(connection: sqlite3.Connection, searches: Sequence[str]) -> tuple[str, str]:
    """The search and the config of the attempt that was started last. Raises NotFound."""
    for row in rows(connection, _LATEST, [json.dumps(searches)]):
        return row["run_identity"], row["config_id"]
    raise NotFound("Nothing was started yet, so nothing is printed.", see="no-attempt")


def find_attempt(
    connection: sqlite3.Connection,
    database: Path,
    run_identity: str,
    config_id: str,
    epochs: int | None,
    number: int | None,
) -> LoggedAttempt:
    """The attempt that is meant: the last of the largest budget, unless said otherwise.

    Raises NotFound, naming those that there are.
    """
    key = (run_identity, config_id)
    config = called(connection, [key])[key]
    found = rows(connection, _ATTEMPTS, key)
    if not found:
        raise NotFound(f"{config} was not started yet, so nothing is printed.", see="no-attempt")
    chosen = [
        row for row in found if epochs in (None, row["epochs"]) and number in (None, row["attempt"])
    ]
    if not chosen:
        there = ", ".join(f"{row['epochs']} (attempt {row['attempt']})" for row in found)
        raise NotFound(
            f"{config} has no such attempt. It has, by epochs: {there}.",
            see="no-attempt",
        )
    return LoggedAttempt(database, config=config, **chosen[-1])


class Printed:
    """What an attempt prints to one stream, piece by piece."""

    def __init__(self, attempt: LoggedAttempt, stream: str) -> None:
        self._attempt, self._stream = attempt, stream
        self._file = attempt.files.out if stream == "stdout" else attempt.files.err
        self._bytes = 0  # so many were given out
        self._characters = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest: Iterator[bytes] | None = None  # once its end is recorded
        self.shortened = False  # its beginning is lost

    def more(self, connection: sqlite3.Connection) -> bytes | None:
        """What came since the last call; empty if nothing did, None if nothing more will."""
        if self._rest is None:
            piece = self._from_worker()
            if self._attempt.is_open(connection):
                self._bytes += len(piece)
                self._characters += len(self._decoder.decode(piece))
                return piece
            self._rest = self._after_its_end(connection)
        return next(self._rest, None)

    def _from_worker(self) -> bytes:
        record = self._attempt.files.record(self._attempt.name)
        if record.pid is None:  # before, the file may still be another attempt's
            return b""
        try:
            with self._file.open("rb") as file:
                file.seek(self._bytes)
                return file.read(PIECE)
        except FileNotFoundError:
            return b""

    def _after_its_end(self, connection: sqlite3.Connection) -> Iterator[bytes]:
        """All of it that was not given out yet: from its log where it has one of its own."""
        for row in rows(connection, _OUTPUT, [self._attempt.pk]):
            log = self._attempt.folder / "logs" / f"{row['log']}.{self._file.suffix[1:]}"
            if row["log"] and log.is_file():
                return self._from_log(log)
            text = str(row[self._stream])
            self.shortened = bool(row["log"]) and len(text.encode()) >= KEPT
            return iter([text[self._characters :].encode()])
        return iter([])

    def _from_log(self, path: Path) -> Iterator[bytes]:
        """The log from where it was read up to; if that was cut out since, from the cut."""
        with path.open("rb") as file:
            file.seek(LOG_HEAD)
            cut = _CUT.match(file.read(100))
            left_out = int(cut[1]) - len(cut[0]) if cut else 0
            inside = cut and self._bytes > LOG_HEAD
            file.seek(max(self._bytes - left_out, LOG_HEAD) if inside else self._bytes)
            while piece := file.read(PIECE):
                yield piece
