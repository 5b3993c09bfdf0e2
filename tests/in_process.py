"""Attempts without processes, on a made-up machine: all that an executor has to be."""

import signal
import time
from collections.abc import Collection, Mapping

from made_up import Hook, Machine

from hbtrack.core.execution import Job, Output, Record, Seen, Slot


class InProcess:
    """One driver's hold on the machine; `before` gets the name of each call that it makes here."""

    def __init__(
        self, machine: Machine, workers: int, adopted: Mapping[str, Slot], before: Hook
    ) -> None:
        self.machine, self.workers, self.before = machine, workers, before
        self.woken = False
        self._slots = dict(adopted)  # of each attempt that is not cleared
        self._reserved: set[int] = set()
        self._kill_at: dict[str, float] = {}

    def has_room(self) -> bool:
        return self.machine.room

    def reserve(self, barred: Collection[str] = (), *, every_gpu: bool = False) -> Slot | None:
        self.before("reserve")
        used = self._reserved | {self._slots[name].worker for name in self.look()}
        free = [n for n in range(2 * self.workers) if n not in used and str(n) not in barred]
        if len(used) >= self.workers or not free or every_gpu:
            return None
        self._reserved.add(free[0])
        return Slot(free[0], str(free[0]), [str(free[0])], {})

    def start(self, job: Job, slot: Slot) -> None:
        self.before("start")
        self._reserved.remove(slot.worker)
        self._slots[job.name] = slot
        _python, _script, config_id, _, epochs, _, gpu, *_ = job.argv
        self.machine.begin(job.name, config_id, int(epochs), gpu)

    def look(self) -> Mapping[str, Seen]:
        return {name: how for name in self._slots if (how := self.machine.sees(name))}

    def wait(self, timeout: float | None) -> None:
        self.before("wait")
        for name, at in self._kill_at.items():
            if at <= time.monotonic():
                self.machine.signal(name, signal.SIGKILL)
        if timeout != 0 and not self.woken and len(self.look()) == len(self._slots):
            self.machine.let_time_go(timeout)
        self.woken = False

    def wake(self) -> None:
        self.woken = True

    def end(self, name: str, grace: float) -> None:
        if name not in self._kill_at:
            self.machine.signal(name, signal.SIGTERM)
        self._kill_at[name] = time.monotonic() + grace

    def record(self, name: str) -> Record:
        return self.machine.outcomes.get(name, (Record(), Output()))[0]

    def output(self, name: str) -> Output:
        return self.machine.outcomes.get(name, (Record(), Output()))[1]

    def clear(self, name: str) -> None:
        self.before("clear")
        del self._slots[name]
        self._kill_at.pop(name, None)
        self.machine.outcomes.pop(name, None)

    def close(self) -> None:
        """Nothing was open."""
