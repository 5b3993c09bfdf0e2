"""Whether a script may start just now, and on which GPUs."""

import os
import time
from collections.abc import Sequence, Sized

from hbtrack.core.execution import Record, Slot
from hbtrack.core.gpu import Gpu, shown
from hbtrack.core.gpu_health import Cleared, GpuHealth, Outcome, Probe, Quarantined
from hbtrack.driver.interfaces import Edges
from hbtrack.errors import HbtrackError, Unavailable

MAX_FAILED_STARTS = 5

ROOM_SECONDS = 5.0
"""How long nothing starts when the disk is full."""


class Admission:
    """What the loop asks before each start, and tells after each end.

    `devices` are the GPUs of the workers, one entry per worker.
    """

    def __init__(self, devices: Sequence[Gpu], edges: Edges) -> None:
        self._executor, self._observer = edges.executor, edges.observer
        self._workers = len(devices)
        self._gpu_health = GpuHealth(dict.fromkeys(shown([gpu]) for gpu in devices))
        # The scripts' parent died: until something ends properly, one at a time, so that a script
        # that kills its parent is told from those that only ran beside it.
        self.one_at_a_time = False
        self.not_before: float | None = None  # monotonic; while set, nothing starts
        self._failed_starts = 0

    # --- what may start ---

    def is_open(self, running: Sized) -> bool:
        """Whether something may start beside what is running."""
        most = 1 if self.one_at_a_time else self._workers
        return self.not_before is None and len(running) < most

    def reserve(self, *, every_gpu: bool, idle: bool) -> Slot | None:
        """A slot for an attempt that is about to be recorded; None if nothing can start now.

        On a full disk scripts would fail whatever their config: for a while none is started. Raises
        Unavailable if that leaves the driver `idle`.
        """
        if self._executor.has_room():
            return self._executor.reserve(self._gpu_health.barred(), every_gpu=every_gpu)
        if idle:
            raise Unavailable(
                "The disk is full, so nothing was started; make room.",
                "the disk is full",
                see="disk-full",
            )
        self.rest(ROOM_SECONDS)
        self._observer.event("wait", message="the disk is full", seconds=ROOM_SECONDS)
        return None

    def look_at_the_clock(self) -> None:
        """A rest may be over."""
        if self.not_before is not None and time.monotonic() >= self.not_before:
            self.not_before = None

    def rest(self, seconds: float) -> None:
        """Nothing starts for so long."""
        self.not_before = time.monotonic() + seconds

    # --- what has ended ---

    def note_end(
        self, gpu: str, evaluation: tuple[str, int], *, outcome: Outcome
    ) -> Probe | Quarantined | Cleared | None:
        """An attempt on these GPUs (their recorded text) came to a result: what of the GPU then."""
        return self._gpu_health.note_end(gpu.split(","), evaluation, outcome)

    def forgive(self) -> None:
        """A new driver begins: GPUs that were set aside are tried again."""
        self._gpu_health.forgive()

    def note_parent(self, record: Record, *, died: bool) -> None:
        """An attempt that ran has ended, with its parent if `died`."""
        if record.pid is not None:
            self.one_at_a_time = died

    def note_result(self) -> None:
        """An attempt came to a result: starting works."""
        self._failed_starts = 0

    def note_failed_start(self, record: Record) -> HbtrackError | None:
        """An attempt came to none: if its start failed, starts rest; the error that ends that."""
        if record.failed is None or self.not_before is not None:
            return None  # those that fail in one moment count once
        self._failed_starts += 1
        self.rest(0.1 * 2**self._failed_starts)
        if self._failed_starts < MAX_FAILED_STARTS:
            return None
        return HbtrackError(
            f"The script could not be started {self._failed_starts} times in a row: "
            f"{os.strerror(record.failed)}. Everything recorded is kept; when that is mended, "
            "type `hbtrack resume`.",
            see="cannot-start-scripts",
        )
