"""What a search does while nothing can be recorded: it waits, and at some time gives up."""

import errno
import time
from pathlib import Path

from hbtrack.driver.interfaces import Observer, StopRequest
from hbtrack.errors import HbtrackError, Unavailable
from hbtrack.searches.file import Settings

BUSY_SECONDS = 5.0
"""How long the driver waits in one piece for another writer; no signal is heard meanwhile."""


class Patience:
    """Waits for a disk that is full or a database that is locked, for a while in all.

    What was under way is forgotten, and the search begun again from its facts: scripts that go on
    meanwhile are adopted, as after a crash.
    """

    def __init__(self, settings: Settings, observer: Observer, stop: StopRequest) -> None:
        self._seconds, self._grace = settings.patience, settings.tolerances.grace
        self._observer = observer
        self._stop = stop
        self._since: float | None = None  # monotonic; the first trouble of a series
        self._last = 0.0
        self._pause = 0.5
        self._stopped_since: float | None = None

    def wait(self, error: Exception) -> None:
        """Return after a pause that grows; raise the error when patience is at an end."""
        now = time.monotonic()
        if self._since is None or now - self._last > self._pause + 2 * BUSY_SECONDS:
            self._since, self._pause = now, 0.5  # it had been well for some time
        if self._stop.at is not None and self._stopped_since is None:
            self._stopped_since = now
        if now - self._since > self._seconds or self._stop.at_once or self._must_stop(now):
            text = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
            raise Unavailable(
                f"{text} Scripts that run go on; `hbtrack resume` takes them over, `hbtrack stop` "
                "ends them.",
                see=error.see if isinstance(error, Unavailable) else "system-error",
            ) from error
        self._pause = min(2 * self._pause, 10.0)
        message = error.reason if isinstance(error, Unavailable) else str(error)
        self._observer.event("wait", message=message, seconds=self._pause)
        until = now + (self._pause if self._stop.at is None else 0.5)
        while time.monotonic() < until and (self._stop.at is None or self._stopped_since):
            time.sleep(0.05)
        self._last = time.monotonic()

    def _must_stop(self, now: float) -> bool:
        """Whether a stop was asked for and could not be recorded for all of the grace period."""
        return self._stopped_since is not None and now - self._stopped_since >= self._grace


def raise_if_hopeless(error: Exception, folder: Path) -> None:
    """Raise HbtrackError where waiting does not mend what went wrong."""
    kept = "Everything recorded is kept and scripts that run go on"
    if getattr(error, "errno", 0) in (errno.EMFILE, errno.ENFILE):
        raise HbtrackError(
            f"Too many open files ({error}). {kept}; allow more (ulimit -n), or type "
            "`hbtrack resume` with fewer --workers.",
            see="too-many-files",
        ) from error
    if not folder.is_dir():
        raise HbtrackError(
            f"The folder {folder} went away while the search ran, so it stops. {kept}; "
            "type `hbtrack resume`.",
            see="file-replaced",
        ) from error
