"""The files of a worker, and what they tell: lock, stdout and stderr. Standard library only.

A worker runs one attempt at a time, under the same three names. No file is emptied: ext4 writes
one that was out at once (auto_da_alloc), and the next to empty it waits for that. The lock file's
lines are described in warden.py.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbtrack.core.execution import Output, Record
from hbtrack.executors import flock

KEPT = 64 * 1024
"""Bytes of each stream that go into the database."""

LOG_HEAD, LOG_TAIL = 256 * 1024, 1024 * 1024
"""What is kept of a longer log, in a file of its own."""

_MARK = 64
"""Bytes that the line between them may take."""


class WorkerFiles:
    """The files of worker number `number` in `folder`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.lock = folder / f"{number}.lock"
        self.out = folder / f"{number}.out"
        self.err = folder / f"{number}.err"
        self._logs = folder / "logs"

    def take(self) -> int | None:
        """The locked, open lock file, or None when somebody holds it.

        What it says stays: the end of the attempt before may not be committed yet.
        """
        return flock.take(self.lock, os.O_APPEND)

    def begin(self, lock: int, name: str) -> tuple[int, int]:
        """Begin the files for the attempt of that name; stdout and stderr, open for writing."""
        os.ftruncate(lock, 1)  # whatever that byte is, the first line says nothing
        os.write(lock, b"\nattempt %s\n" % name.encode())
        return _new(self.out), _new(self.err)

    def held(self) -> bool:
        """Whether an attempt holds the lock."""
        return flock.is_held(self.lock)

    def wait(self) -> None:
        """Return when no attempt holds the lock: sleeps in the kernel until then."""
        flock.wait_until_free(self.lock)

    def record(self, name: str) -> Record:
        """What the lock file says of the attempt of that name; empty if it speaks of another."""
        lines = _end_of(self.lock, 1 << 20).split(b"\n")[:-1]  # the last piece has no newline
        if b"attempt %s" % name.encode() not in lines[:2]:  # the first: by an earlier hbtrack
            return Record()
        facts: dict[str, Any] = {}
        for match in filter(None, map(_RECORD_LINE.fullmatch, lines)):
            facts |= _facts(match)
        return Record(asked=True, **facts)

    def output(self, attempt: int) -> Output:
        """What the attempt printed. Logs that may have filled the disk lose their middle first."""
        log = None
        out, err = _end_of(self.out), _end_of(self.err)
        for stream, end in ((self.out, out), (self.err, err)):
            if len(end) == KEPT and (size := _size(stream)) > KEPT:
                log = str(attempt)
                if size > LOG_HEAD + 2 * LOG_TAIL + _MARK:
                    _cut(stream)
        last = last_line(self.out) if len(out) == KEPT else _last_of(out)[-1]
        return Output(last, _text(out), _text(err), log)

    def clear(self, attempt: int) -> None:
        """Put aside what is too long for the database, once the rest is recorded."""
        for stream, ending in ((self.out, "out"), (self.err, "err")):
            if (size := _size(stream)) <= KEPT:
                continue
            with contextlib.suppress(OSError):  # no room for a name: then it is not kept
                if size > LOG_HEAD + LOG_TAIL + _MARK:
                    _cut(stream)
                self._logs.mkdir(mode=0o700, exist_ok=True)
                stream.rename(self._logs / f"{attempt}.{ending}")


# Scripts inherit the file: whatever else they write into it says nothing.
_RECORD_LINE = re.compile(
    rb"(pid) ([0-9]{1,10}) ([!-~]{1,100})|(failed) ([0-9]{1,5})|(signalled)|(overflow)|(full)|(oom)"
    rb"|(since_boot) ([0-9]{1,12}(?:\.[0-9]+)?)"
    rb"|(used) ([0-9]{1,18}) ([0-9]{1,12}(?:\.[0-9]+)?)"
    rb"|(exit) (-?[0-9]{1,5}) ([0-9]{1,12}(?:\.[0-9]+)?) (-?[0-9]{1,12}(?:\.[0-9]+)?)"
)


def _facts(match: re.Match[bytes]) -> dict[str, Any]:
    word, *values = [group for group in match.groups() if group is not None]
    if not values:
        return {word.decode(): True}
    if word == b"pid":
        return {"pid": int(values[0]), "where": values[1].decode()}
    if word == b"since_boot":
        return {"since_boot": float(values[0])}
    if word == b"used":
        return {"peak_memory": int(values[0]), "cpu_seconds": float(values[1])}
    if word == b"failed":
        return {"failed": int(values[0])}
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
        *earlier, line = _last_of(block + line)
        if earlier or len(line) > KEPT:
            return line
    return line


def _last_of(text: bytes) -> list[bytes]:
    """What stands before the last line that is not blank, if anything does, and that line."""
    return text.rstrip(b"\n \t\r").rsplit(b"\n", 1)


def _blocks_backwards(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - KEPT)
            file.seek(start)
            yield file.read(end - start)
            end = start


def _new(path: Path) -> int:
    """An empty file of that name, open for writing: often it is empty still."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o600)
    if os.fstat(file).st_size:
        os.close(file)
        path.unlink()
        file = os.open(path, flags | os.O_EXCL, 0o600)
    return file


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _end_of(path: Path, most: int = KEPT) -> bytes:
    """The last bytes of a file, if there is one. By system calls: this is asked at each end."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        size = os.lseek(file, 0, os.SEEK_END)
        return os.pread(file, min(size, most), max(0, size - most))
    finally:
        os.close(file)


def tail(path: Path) -> str:
    """The end of a file, as text that SQLite keeps whole; empty if there is none."""
    return _text(_end_of(path))


def _text(end: bytes) -> str:
    # NUL would end the text for some of SQLite's functions.
    return end.decode("utf-8", "replace").replace("\0", "\ufffd")


def _cut(file: Path) -> None:
    """Leave the head and the tail of a log, with a line between.

    In place, for the disk may be full of this very log. Where old and new tail do not overlap, the
    last line is the same whenever this is interrupted.
    """
    with file.open("r+b") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(size - LOG_TAIL)
        tail = log.read(LOG_TAIL)
        log.seek(LOG_HEAD)
        log.write(b"\n[hbtrack left out %d bytes here]\n" % (size - LOG_HEAD - LOG_TAIL))
        log.write(tail)
        log.truncate()
