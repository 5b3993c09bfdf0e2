"""How far a check is, on stderr: a line that the next one overwrites, or one now and then."""

import sys
import time

from hbtrack.check.outlook import Outlook, Progress
from hbtrack.report.live.progress import write_line
from hbtrack.text import duration

LINE_SECONDS = 10.0
"""At most one line in this time, where lines stay."""


class ProgressLine:
    """Shows where a check is: `live`, in `lines`, or not at all (`off`)."""

    def __init__(self, how: str) -> None:
        self._how = how
        self._shown = False  # a line stands there
        self._next = time.monotonic() + LINE_SECONDS
        self.last: Progress = Outlook({}).progress()

    def show(self, progress: Progress) -> None:
        """It is there now."""
        self.last = progress
        if self._how == "live":
            sys.stderr.write(f"\r\x1b[K  ...      {in_words(progress)}")
            sys.stderr.flush()
            self._shown = True
        elif self._how == "lines" and time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            write_line(sys.stderr, in_words(progress))

    def wipe(self) -> None:
        """Other lines come now, or none."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False


def in_words(progress: Progress) -> str:
    """Which check it is, of how many, and the time left as far as it is known."""
    text = f"{progress.number} of {progress.of}: {progress.name.replace('_', ' ')}"
    if progress.seconds_left is None:
        return text
    return f"{text}, about {duration(progress.seconds_left)} left"
