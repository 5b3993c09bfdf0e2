"""The GPUs of a search's workers: which are idle, and which another search uses."""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from hbtrack.core.gpu import NO_GPU, Gpu, shown
from hbtrack.executors import gpu_locks

OCCUPIED_SECONDS = 1.0
"""How long a GPU that another search uses is left alone before it is asked for again."""


def devices_of_workers(gpus: Sequence[Gpu], per_gpu: int, workers: int | None) -> list[Gpu]:
    """The GPU of each worker, in turn; without GPUs as many workers as were asked for, or one."""
    if not gpus:
        return [NO_GPU] * (workers or 1)
    return (list(gpus) * per_gpu)[:workers]


class Devices:
    """The GPUs of a search's workers, one entry per worker.

    `per_gpu` is how many evaluations of all searches may share one; `holder` is what others are
    told who use the same GPUs, `say` tells the user why one is not used. What runs (`busy`) is
    known by the text that is recorded as the GPUs of each attempt; `barred` are the texts of GPUs
    on which nothing may start.
    """

    def __init__(
        self, devices: Sequence[Gpu], per_gpu: int, holder: str, say: Callable[[str], None]
    ) -> None:
        self._devices, self._per_gpu = list(devices), per_gpu
        self._holder, self._say = holder, say
        self._gpus = {shown([gpu]): gpu for gpu in devices}
        self._room = Counter(shown([gpu]) for gpu in devices)
        self._occupied: dict[str, float] = {}  # GPU -> until when, monotonic
        self._elsewhere: set[str] = set()  # keys of GPUs that another search uses, which was said

    def take(
        self, busy: Sequence[str], barred: Collection[str], *, every_gpu: bool
    ) -> tuple[list[Gpu], list[int]] | None:
        """Lock an idle GPU, or all of them if these are idle: the GPUs and their open locks.

        None when no GPU is idle, or another search uses those that are.
        """
        self._look_at_the_clock()
        every = self.all_idle(busy, barred) if every_gpu else None
        if every and (locks := self._lock(every, per_gpu=1)) is not None:
            return every, locks
        for gpu in self.idle(busy, barred):
            if (locks := self._lock([gpu], self._per_gpu)) is not None:
                self._elsewhere.discard(gpu.key)
                return [gpu], locks
            self._leave_alone(gpu)
        return None

    def idle(self, busy: Sequence[str], barred: Collection[str] = ()) -> list[Gpu]:
        """The GPUs on which something may start now, those that do least first."""
        if len(busy) >= len(self._devices):  # the usual case
            return []
        at_work = _at_work(busy)
        if at_work.total() >= len(self._devices):
            return []
        barred = {*barred, *self._occupied}
        idle = [
            name for name in self._gpus if at_work[name] < self._room[name] and name not in barred
        ]
        return [self._gpus[name] for name in sorted(idle, key=lambda name: at_work[name])]

    def all_idle(self, busy: Sequence[str], barred: Collection[str] = ()) -> list[Gpu] | None:
        """All GPUs, for an evaluation that gets them together, if all of them may be used now.

        Where a script sees what it is given only, it can do without those that are barred.
        """
        at_work, barred = _at_work(busy), set(barred)
        gpus = {name: gpu for name, gpu in self._gpus.items() if name not in barred}
        visible = barred and not all(gpu.isolated for gpu in gpus.values())
        if len(gpus) < 2 or visible or any(gpu.is_instance for gpu in self._devices):
            return None
        if at_work.keys() - barred or self._occupied.keys() & gpus.keys():
            return None
        return list(gpus.values()) if at_work.total() < len(self._devices) else None

    def wake_at(self) -> float | None:
        """When to look at the clock again (monotonic)."""
        return min(self._occupied.values(), default=None)

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        self._occupied = {gpu: until for gpu, until in self._occupied.items() if now < until}

    def _lock(self, gpus: Sequence[Gpu], per_gpu: int) -> list[int] | None:
        with contextlib.ExitStack() as undo:
            locks = []
            for gpu in filter(lambda gpu: gpu.key, gpus):
                if (lock := gpu_locks.take(gpu.key, per_gpu, self._holder)) is None:
                    return None
                undo.callback(os.close, lock)
                locks.append(lock)
            undo.pop_all()
            return locks

    def _leave_alone(self, gpu: Gpu) -> None:
        """Another search uses it, for a moment at least. Who, is said once until it is ours."""
        self._occupied[shown([gpu])] = time.monotonic() + OCCUPIED_SECONDS
        if gpu.key not in self._elsewhere:
            self._elsewhere.add(gpu.key)
            by = gpu_locks.holder_of(gpu.key) or "another search"
            self._say(f"GPU {gpu.name} is used by {by}")


def _at_work(busy: Sequence[str]) -> Counter[str]:
    return Counter(gpu for gpus in busy for gpu in gpus.split(","))
