"""Whether a script may start just now, and on which GPUs."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from hbtrack.core.execution import Record
from hbtrack.core.gpu import NO_GPU, Gpu, shown
from hbtrack.core.gpu_health import Cleared, GpuHealth, Outcome, Probe, Quarantined
from hbtrack.errors import HbtrackError

MAX_FAILED_STARTS = 5

ROOM_SECONDS = 5.0
"""How long nothing starts when the disk is full."""

OCCUPIED_SECONDS = 1.0
"""How long a GPU that another search uses is left alone before it is asked for again."""


def devices_of_workers(gpus: Sequence[Gpu], per_gpu: int, workers: int | None) -> list[Gpu]:
    """The GPU of each worker, in turn; without GPUs as many workers as were asked for, or one."""
    if not gpus:
        return [NO_GPU] * (workers or 1)
    return (list(gpus) * per_gpu)[:workers]


class Admission:
    """What the loop asks before each start, and tells after each end.

    `devices` are the GPUs of the workers, one entry per worker. What runs is known by the text that
    is recorded as its GPUs.
    """

    def __init__(self, devices: Sequence[Gpu]) -> None:
        self.devices = list(devices)
        self._gpus = {shown([gpu]): gpu for gpu in devices}
        self._room = Counter(shown([gpu]) for gpu in devices)
        self._gpu_health = GpuHealth(self._gpus)
        self._occupied: dict[str, float] = {}  # GPU -> until when, monotonic
        # The scripts' parent died: until something ends properly, one at a time, so that a script
        # that kills its parent is told from those that only ran beside it.
        self.one_at_a_time = False
        self.not_before: float | None = None  # monotonic; while set, nothing starts
        self._failed_starts = 0

    # --- what may start ---

    def idle(self, busy: Sequence[str]) -> list[Gpu]:
        """The GPUs on which something may start now, those that do least first.

        `busy` are the GPUs of each attempt that runs.
        """
        if len(busy) >= len(self.devices):  # the usual case
            return []
        at_work = Counter(gpu for gpus in busy for gpu in gpus.split(","))
        if not self._may_start(at_work):
            return []
        barred = self._gpu_health.barred() | self._occupied.keys()
        idle = [
            name for name in self._gpus if at_work[name] < self._room[name] and name not in barred
        ]
        return [self._gpus[name] for name in sorted(idle, key=lambda name: at_work[name])]

    def all_idle(self, busy: Iterable[str]) -> list[Gpu] | None:
        """All GPUs, for an evaluation that gets them together, if all of them may be used now.

        Where a script sees what it is given only, it can do without those that are suspect.
        """
        at_work = Counter(gpu for gpus in busy for gpu in gpus.split(","))
        barred = self._gpu_health.barred()
        gpus = {name: gpu for name, gpu in self._gpus.items() if name not in barred}
        seen = barred and not all(gpu.isolated for gpu in gpus.values())
        if len(gpus) < 2 or seen or any(gpu.is_instance for gpu in self.devices):
            return None
        if at_work.keys() - barred or self._occupied.keys() & gpus.keys():
            return None
        return list(gpus.values()) if self._may_start(at_work) else None

    def _may_start(self, at_work: Counter[str]) -> bool:
        most = 1 if self.one_at_a_time else len(self.devices)
        return self.not_before is None and at_work.total() < most

    def occupied(self, gpu: Gpu) -> None:
        """Another search uses a GPU: nothing starts on it for a moment."""
        self._occupied[shown([gpu])] = time.monotonic() + OCCUPIED_SECONDS

    def look_at_the_clock(self) -> None:
        """A rest may be over."""
        now = time.monotonic()
        if self.not_before is not None and now >= self.not_before:
            self.not_before = None
        self._occupied = {gpu: until for gpu, until in self._occupied.items() if now < until}

    def wake_at(self) -> float | None:
        """When to look at the clock again (monotonic): the next rest is over then."""
        moments = [*self._occupied.values()]
        if self.not_before is not None:
            moments.append(self.not_before)
        return min(moments, default=None)

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
            "type `hbtrack resume`.",
            see="cannot-start-scripts",
        )
