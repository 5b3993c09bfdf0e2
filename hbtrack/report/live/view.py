"""The screen of a search that this process runs, drawn beside its driver.

The file is the answer: the picture is read from the database, in a thread of its own. A terminal
or a disk that is slow never holds up the driver, and what goes wrong here never stops a search.
"""

import contextlib
import os
import select
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TextIO

from hbtrack.core.estimate import Countdown
from hbtrack.database.reader import read_only
from hbtrack.report.live.overview import Overview, read_overview

if TYPE_CHECKING:  # rich is loaded only where there is a terminal
    from hbtrack.report.live.screen import Screen

REFRESH_SECONDS = 0.5
CLOSE_SECONDS = 2.0
"""How long the last picture may take where the terminal may have been stopped by Ctrl-S."""
BUSY_SECONDS = 10.0
"""How long it may take where the terminal takes what is written: then the machine is busy."""

_HINTS = {
    "running": "Ctrl-C stops cleanly; hbtrack resume goes on.",
    "stopping": "Ctrl-C once more ends the scripts at once.",
}


class LiveView:
    """Draws one search of the database at `path` twice a second until it is closed."""

    def __init__(self, path: Path, run_identity: str, countdown: Countdown) -> None:
        self._path = path
        self._run_identity = run_identity
        self._countdown = countdown
        self._said: SimpleQueue[str | None] = SimpleQueue()  # None: it is over
        self._overview: Overview | None = None
        self._thread = Thread(target=self._run, name="live view", daemon=True)
        with contextlib.suppress(RuntimeError):  # no memory for a thread: no picture, then
            self._thread.start()

    def say(self, text: str) -> None:
        """Show a sentence above the picture."""
        self._said.put(text)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._said.put(None)
        begun = time.monotonic()
        while self._thread.is_alive():
            patience = BUSY_SECONDS if _takes_more(sys.stderr) else CLOSE_SECONDS
            if time.monotonic() - begun > patience:
                return
            self._thread.join(0.1)

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the driver's
        # A stream of its own: one that hangs must not hold the lock of sys.stderr at the end.
        with (
            contextlib.suppress(Exception),
            os.fdopen(
                os.dup(sys.stderr.fileno()),
                "w",
                encoding=sys.stderr.encoding,
                errors="backslashreplace",
            ) as file,
        ):
            from hbtrack.report.live.screen import Screen  # noqa: PLC0415 - rich is slow to import

            self._draw_until_over(Screen(file))

    def _draw_until_over(self, screen: "Screen") -> None:
        self._draw(screen, "running")
        while (text := self._next()) is not None:
            if text:
                screen.say(text)
            self._draw(screen, "running")
        self._draw(screen, None)
        screen.close()

    def _next(self) -> str | None:
        """What was said, as soon as it is; nothing after a while; None when it is over."""
        try:
            return self._said.get(timeout=REFRESH_SECONDS)
        except Empty:
            return ""

    def _draw(self, screen: "Screen", state: str | None) -> None:
        """Draw what the database says, or the same again if it cannot be read just now."""
        with contextlib.suppress(sqlite3.Error, OSError):
            self._overview = self._read(state)
        if self._overview:
            hint = _HINTS.get(self._overview.state, "")
            screen.show([self._overview], hint, last=state is None)

    def _read(self, state: str | None) -> Overview:
        with closing(read_only(self._path, REFRESH_SECONDS)) as connection:
            return read_overview(
                connection,
                self._run_identity,
                state=state,
                now=time.time(),
                left=self._countdown.at(time.monotonic()),
                earlier=self._overview,
            )


def _takes_more(stream: TextIO) -> bool:
    """Whether a terminal can be written to now."""
    with contextlib.suppress(OSError, ValueError):
        return bool(select.select([], [stream], [], 0)[1])
    return False
