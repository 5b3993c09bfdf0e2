"""The stderr of commands that drive a search: whoever does not read it holds nothing up.

A pager, a terminal under Ctrl-S or a stalled connection takes no more at some time, and a write
would wait for it. So a thread writes; what it does not get rid of is dropped, and the log has it.
"""

import atexit
import io
import os
import select
import signal
import stat
import sys
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

MOST_WAITING = 1000
"""So many writes may wait to be read; what comes then is dropped."""
PATIENCE = 1.0
"""Seconds without anything being read after which the end of hbtrack does not wait for it."""

_DROPPED = "({} lines are left out here, for nobody read them. The log has all of the search.)\n"


def never_held_up() -> None:
    """From now on sys.stderr is written by a thread, where it may be that nobody reads it."""
    with suppress(OSError, ValueError, RuntimeError):  # what is no file, or no memory for a thread
        if _may_stall(sys.stderr.fileno()):
            raw = Unread(sys.stderr.fileno())
            atexit.register(raw.finish)
            sys.stderr = io.TextIOWrapper(
                raw,  # without a buffer, as Python does for -u
                encoding=sys.stderr.encoding,
                errors="backslashreplace",
                write_through=True,
            )


def _may_stall(descriptor: int) -> bool:
    """Whether a reader is at the other end: of a pipe, a socket, a terminal."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


class Unread(io.RawIOBase):
    """A descriptor that may have no reader; writing to it returns at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()  # None: nothing more comes
        self._dropped = 0  # lines, since the last that was not
        self._written = 0  # writes
        self._thread = threading.Thread(target=self._write_all, name="stderr", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """The descriptor that is written to."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Have it written, or dropped where too much waits already."""
        text = bytes(data)
        if self._waiting.qsize() >= MOST_WAITING:
            self._dropped += text.count(b"\n")
        else:
            if self._dropped:
                self._waiting.put(_DROPPED.format(self._dropped).encode())
                self._dropped = 0
            self._waiting.put(text)
        return len(text)

    def finish(self) -> None:
        """Wait until all is written, or nobody reads it; no signal cuts that short."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._waiting.put(None)
        written, since = self._written, time.monotonic()
        while self._thread.is_alive() and time.monotonic() - since < PATIENCE:
            self._thread.join(0.02)
            if written != self._written:
                written, since = self._written, time.monotonic()

    def _write_all(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the driver's
        with suppress(OSError):  # a terminal that has gone away
            while (text := self._waiting.get()) is not None:
                self._write(text)
                self._written += 1

    def _write(self, text: bytes) -> None:
        while text:
            try:
                text = text[os.write(self._descriptor, text) :]
            except BlockingIOError:  # whoever shares it has said that it must not wait
                select.select([], [self._descriptor], [])
