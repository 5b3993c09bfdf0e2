"""The files of a worker, and what they tell: lock, stdout and stderr. Standard library only.

A worker runs one attempt at a time and uses the same three files for each: making new ones was the
largest cost of a start. The lock file's lines are described in warden.py.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

KEPT = 64 * 1024
"""Bytes of each stream that go into the database."""

LOG_HEAD, LOG_TAIL = 256 * 1024, 1024 * 1024
"""What is kept of a longer log, in a file of its own."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a lock file says of one attempt."""

    asked: bool = False  # the driver was about to ask for its start
    pid: int | None = None
    failed: int | None = None  # errno: it could not be started
    exit_status: int | None = None  # as in subprocess: negative is a signal
    finished_at: float | None = None
    seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the record says that nothing more will come."""
        return self.exit_status is not None or self.failed is not None


@dataclass(frozen=True, slots=True)
class Output:
    """What an attempt printed."""

    last_line: bytes  # the last non-empty line of stdout, without its newline
    stdout: str  # up to KEPT bytes from the end
    stderr: str
    log: str | None  # name of the longer logs, without ending


class WorkerFiles:
    """The files of worker number `number` in `folder`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.lock = folder / f"{number}.lock"
        self.out = folder / f"{number}.out"
        self.err = folder / f"{number}.err"
        self._logs = folder / "logs"

    def take(self) -> int | None:
        """The locked, open lock file, or None when somebody holds it."""
        lock = _open(self.lock, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def begin(self, lock: int, attempt: int) -> tuple[int, int]:
        """Empty the files for a new attempt; stdout and stderr, open for writing."""
        os.ftruncate(lock, 0)
        os.write(lock, b"attempt %d\n" % attempt)
        flags = os.O_WRONLY | os.O_APPEND | os.O_TRUNC
        return _open(self.out, flags), _open(self.err, flags)

    def held(self) -> bool:
        """Whether an attempt holds the lock. Looks with a shared lock and lets go at once."""
        try:
            lock = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def record(self, attempt: int) -> Record:
        """What the lock file says of this attempt; an empty record if it speaks of another."""
        try:
            lines = self.lock.read_bytes().split(b"\n")[:-1]  # the last piece has no newline
        except FileNotFoundError:
            return Record()
        if not lines or lines[0] != b"attempt %d" % attempt:
            return Record()
        record = Record(asked=True)
        for line in lines[1:]:
            if match := _RECORD_LINE.fullmatch(line):
                record = replace(record, **_facts(match))
        return record

    def output(self, attempt: int) -> Output:
        """What the attempt printed. Logs too long for the database are copied aside."""
        log = None
        for stream, ending in ((self.out, "out"), (self.err, "err")):
            if _size(stream) > KEPT:
                log = str(attempt)
                self._logs.mkdir(mode=0o700, exist_ok=True)
                _copy_cut(stream, self._logs / f"{attempt}.{ending}")
        return Output(last_line(self.out), _tail(self.out), _tail(self.err), log)

    def clear(self) -> None:
        """Give back the room of long output, once it is recorded."""
        for stream in (self.out, self.err):
            if _size(stream) > KEPT:
                os.truncate(stream, 0)


# Scripts inherit the file: whatever else they write into it says nothing.
_RECORD_LINE = re.compile(
    rb"(pid) ([0-9]{1,10})|(failed) ([0-9]{1,5})"
    rb"|(exit) (-?[0-9]{1,5}) ([0-9]{1,12}(?:\.[0-9]+)?) (-?[0-9]{1,12}(?:\.[0-9]+)?)"
)


def _facts(match: re.Match[bytes]) -> dict[str, Any]:
    word, *values = [group for group in match.groups() if group is not None]
    if word != b"exit":
        return {word.decode(): int(values[0])}
    status, finished_at, seconds = values
    return {
        "exit_status": int(status),
        "finished_at": float(finished_at),
        "seconds": float(seconds),
    }


def last_line(path: Path) -> bytes:
    """The last line of a file that is not blank, without its newline; empty if there is none.

    A line longer than KEPT comes as a part that is too long to be a loss. Blank lines are read
    over backwards, a block at a time.
    """
    line = b""
    for block in _blocks_backwards(path):
        *earlier, line = (block + line).rstrip(b"\n \t\r").rsplit(b"\n", 1)
        if earlier or len(line) > KEPT:
            return line
    return line


def _blocks_backwards(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - KEPT)
            file.seek(start)
            yield file.read(end - start)
            end = start


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _tail(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - KEPT))
        # NUL would end the text for some of SQLite's functions.
        return file.read(KEPT).decode("utf-8", "replace").replace("\0", "\ufffd")
    return ""


def _copy_cut(source: Path, target: Path) -> None:
    """Copy a log: all of it, or its head and its tail with a line between."""
    with source.open("rb") as reading, open(_open(target, os.O_WRONLY | os.O_TRUNC), "wb") as out:
        size = reading.seek(0, os.SEEK_END)
        reading.seek(0)
        if size <= LOG_HEAD + LOG_TAIL:
            out.write(reading.read(size))
            return
        out.write(reading.read(LOG_HEAD))
        out.write(b"\n[hbtrack left out %d bytes here]\n" % (size - LOG_HEAD - LOG_TAIL))
        reading.seek(size - LOG_TAIL)
        out.write(reading.read(LOG_TAIL))
