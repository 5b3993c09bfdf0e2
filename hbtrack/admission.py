"""Whether a script may start just now, and on which GPU."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from hbtrack.errors import HbtrackError
from hbtrack.executors.worker_files import Record

MAX_FAILED_STARTS = 5

ROOM_SECONDS = 5.0
"""How long nothing starts when the disk is full."""


class Admission:
    """What the loop asks before each start, and tells after each end.

    `places` are the GPUs of the workers, one entry per worker.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self.places = list(places)
        # The scripts' parent died: until something ends properly, one at a time, so that a script
        # that kills its parent is told from those that only ran beside it.
        self.one_at_a_time = False
        self.not_before: float | None = None  # monotonic; while set, nothing starts
        self._failed_starts = 0

    def idle_gpu(self, busy: Iterable[str]) -> str | None:
        """The GPU of an idle worker, if something may start at all; `busy` are those in use."""
        free = Counter(self.places)
        free.subtract(busy)
        working = len(self.places) - free.total()
        most = 1 if self.one_at_a_time else len(self.places)
        if self.not_before is not None or working >= most:
            return None
        return next((gpu for gpu in self.places if free[gpu] > 0), None)

    def look_at_the_clock(self) -> None:
        """A rest may be over."""
        if self.not_before is not None and time.monotonic() >= self.not_before:
            self.not_before = None

    def rest(self, seconds: float) -> None:
        """Nothing starts for so long."""
        self.not_before = time.monotonic() + seconds

    def note_parent(self, record: Record, *, died: bool) -> None:
        """An attempt that ran has ended, with its parent if `died`."""
        if record.pid is not None:
            self.one_at_a_time = died

    def note_result(self) -> None:
        """An attempt came to a result: starting works."""
        self._failed_starts = 0

    def note_start(self, record: Record) -> HbtrackError | None:
        """An attempt came to none. Starts that fail for want of something rest, and have an end."""
        if record.failed is None or self.not_before is not None:
            return None  # those that fail in one moment count once
        self._failed_starts += 1
        self.rest(0.1 * 2**self._failed_starts)
        if self._failed_starts < MAX_FAILED_STARTS:
            return None
        return HbtrackError(
            f"The script could not be started {self._failed_starts} times in a row: "
            f"{os.strerror(record.failed)}. Everything recorded is kept; when that is mended, "
            "type `hbtrack resume`."
        )
