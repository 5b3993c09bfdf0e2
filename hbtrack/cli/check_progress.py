"""How far a check is, on stderr: a line that the next one overwrites, or one now and then."""

import contextlib
import signal
import sys
import time
from dataclasses import dataclass, field
from threading import Event, RLock, Thread
from types import TracebackType

from hbtrack.check.outlook import Outlook, Progress
from hbtrack.report.live.progress import write_line
from hbtrack.text import duration

LINE_SECONDS = 10.0
"""At most one line in this time, where lines stay."""
SILENT_SECONDS = 60.0
"""After which a line says that the run, or the import, goes on."""
TICK = 1.0


@dataclass(slots=True)
class ProgressLine:
    """Shows where a check is: `live`, in `lines`, or not at all (`off`).

    Within, a thread of its own shows the time that passes while a run takes long.
    """

    how: str
    last: Progress = field(init=False, default_factory=lambda: Outlook({}).progress())
    _shown: bool = field(init=False, default=False)  # a line stands there
    _since: float = field(init=False, default_factory=time.monotonic)  # it is where it is
    _said: float = field(init=False, default_factory=time.monotonic)  # the last line
    _lock: RLock = field(init=False, default_factory=RLock)
    _over: Event = field(init=False, default_factory=Event)
    _thread: Thread = field(init=False)

    def __enter__(self) -> "ProgressLine":
        self._thread = Thread(target=self._tick, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(TICK)
        self.wipe()

    def show(self, progress: Progress) -> None:
        """It is there now."""
        with self._lock:
            self.last, self._since = progress, time.monotonic()
            self._shown = self.how == "live"
            self._write(LINE_SECONDS)

    def wipe(self) -> None:
        """Other lines come now, or none."""
        with self._lock:
            if self._shown:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
            self._shown = False

    def _tick(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the check's
        while not self._over.wait(TICK):
            with self._lock, contextlib.suppress(OSError):
                self._write(SILENT_SECONDS)

    def _write(self, seconds: float) -> None:
        """The line; where lines stay, only after so many seconds without one."""
        now = time.monotonic()
        text = in_words(self.last, now - self._since)
        if self._shown:
            sys.stderr.write(f"\r\x1b[K  ...      {text}")
            sys.stderr.flush()
        elif self.how == "lines" and now - self._said >= seconds:
            self._said = now
            write_line(sys.stderr, text)


def in_words(progress: Progress, since: float) -> str:
    """Which check it is, of how many, and the time left as far as it is known.

    It was there `since` so many seconds: these are taken from the time left, which may be over.
    """
    text = f"{progress.number} of {progress.of}: {progress.name.replace('_', ' ')}"
    if since >= SILENT_SECONDS:
        text = f"{text}, a run of {duration(since)} so far"
    left = progress.seconds_left
    if left is None or left < since:
        return text
    return f"{text}, about {duration(left - since)} left"
