"""A machine whose scripts are no processes, in a time of its own; for tests and benchmarks."""

import errno
import itertools
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hbtrack.core.execution import Output, Record, Seen, Slot, attempt_name
from hbtrack.core.records import Facts

Hook = Callable[[str], None]
"""Is told the name of a call before it is made; may raise Killed."""

RAISED = "Traceback (most recent call last):\nValueError: no"


class Killed(BaseException):
    """The driver's process is no more."""


@dataclass
class Process:
    """A script at work."""

    name: Any
    pid: int
    config_id: str
    epochs: int
    gpu: str
    began: float
    ends: float


@dataclass
class Machine:
    """Where scripts run. It outlives every driver; what it is asked to remember are attempts."""

    seed: int = 0
    fail: float = 0.1
    now: float = 1.7e9
    alive: dict[Any, Process] = field(default_factory=dict)  # by name
    outcomes: dict[Any, tuple[Record, Output]] = field(default_factory=dict)
    begun: list[tuple[str, int]] = field(default_factory=list)
    trained: dict[str, int] = field(default_factory=dict)  # what the checkpoints have
    refusals: int = 0  # how many of the next starts fail
    killed: dict[tuple[str, int], int] = field(default_factory=dict)  # how often somebody kills it
    talks_when_stopped: bool = False  # catches SIGTERM, prints where it is, exits 0
    deaf: bool = False  # ignores SIGTERM
    stuck: bool = False  # where no signal reaches it
    room: bool = True  # on its disk
    together: float = 0.2  # how often an end is seen with the next one
    how: Callable[[Process], Seen] | None = None  # is one that has not ended, if not running

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self._pids = itertools.count(1)

    # --- what scripts do; for others to say otherwise ---

    def seconds(self, config_id: str, epochs: int) -> float:  # noqa: ARG002
        """How long an attempt takes."""
        return self.chance.expovariate(1)

    def loss(self, config_id: str, epochs: int) -> float | None:
        """What it comes to; None if it fails."""
        draws = Random(f"{config_id} {epochs}")
        return None if draws.random() < self.fail else round(draws.random(), 2)

    def came_to(self, config_id: str, epochs: int) -> tuple[int, str, str]:
        """With which exit status, last line and stderr it ends."""
        loss = self.loss(config_id, epochs)
        return (1, "", RAISED) if loss is None else (0, str(loss), "")

    # --- what happens to them ---

    def begin(self, name: Any, config_id: str, epochs: int, gpu: str) -> None:
        """Start a script, unless starts fail just now."""
        if self.refusals:
            self.refusals -= 1
            self.outcomes[name] = (Record(asked=True, failed=errno.EAGAIN), Output())
            return
        working = {process.config_id for process in self.alive.values()}
        assert config_id not in working, "two processes on one config"
        assert epochs >= self.trained.get(config_id, 0), "below its checkpoint"
        assert gpu not in {process.gpu for process in self.alive.values()}
        self.begun.append((config_id, epochs))
        ends, pid = self.now + self.seconds(config_id, epochs), next(self._pids)
        self.outcomes[name] = (Record(asked=True, pid=pid), Output())
        self.alive[name] = Process(name, pid, config_id, epochs, gpu, self.now, ends)

    def sees(self, name: Any) -> Seen | None:
        """How an attempt is, if it has not ended."""
        if name not in self.alive:
            return None
        return self.how(self.alive[name]) if self.how else Seen.RUNNING

    def let_time_go(self, timeout: float | None) -> None:
        """Time goes on until something ends; where nothing can, so does the driver's own."""
        if not self.alive or self.stuck:
            assert timeout is not None, "the driver waits for ever for nothing"
            time.sleep(timeout)  # what waiting is; the driver's own clock has no other hands
            return
        if not self._at_work():  # all of it waits in a queue
            self.now += 1
            return
        self.finish_next()
        while self._at_work() and self.chance.random() < self.together:
            self.finish_next()

    def _at_work(self) -> list[Process]:
        found = self.alive.values()
        return [one for one in found if not self.how or self.how(one) is Seen.RUNNING]

    def finish_next(self) -> None:
        """Time goes on until the next process ends."""
        process = min(self._at_work(), key=lambda process: process.ends)
        self.now = max(self.now, process.ends)
        self.end(process)

    def end(self, process: Process, by: signal.Signals | None = None) -> None:
        """It ends by itself, or by a signal."""
        key = (process.config_id, process.epochs)
        if by is None and self.killed.get(key, 0):
            self.killed[key] -= 1
            by = signal.SIGKILL
        status, said, complained = (-by, "", "") if by else self.came_to(*key)
        if status == 0:
            self.trained[process.config_id] = process.epochs
        self.exit(process, status, said, complained)

    def exit(self, process: Process, status: int, said: str = "", complained: str = "") -> None:
        """It is no more; this is what it leaves."""
        del self.alive[process.name]
        record = Record(
            asked=True,
            pid=process.pid,
            exit_status=status,
            finished_at=self.now,
            seconds=self.now - process.began,
        )
        last = said.rstrip("\n").rpartition("\n")[2]
        self.outcomes[process.name] = (record, Output(last.encode(), said, complained))

    def signal(self, name: Any, number: signal.Signals) -> None:
        """A signal is sent to an attempt."""
        process = self.alive.get(name)
        if process is None or self.stuck or (self.deaf and number == signal.SIGTERM):
            return
        if self.talks_when_stopped and number == signal.SIGTERM:
            self.exit(process, 0, "0.0")
        else:
            self.end(process, number)

    def power_cut(self) -> None:
        """Everything that runs is gone without a word."""
        self.alive.clear()


def open_slots(token: str, facts: Facts) -> dict[str, Slot]:
    """The slots of the attempts that a new driver finds open."""
    return {
        attempt_name(token, one.pk): Slot(one.worker, one.gpu, (), {})
        for one in facts.open_attempts
    }
