"""Real processes of this machine, attempt by attempt, for tests of what an executor does."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from conftest import wait_for

from hbtrack.core.execution import Job, Output, Record, Slot, attempt_name, attempt_number
from hbtrack.core.gpu import NO_GPU, Gpu
from hbtrack.executors import processes
from hbtrack.executors.local import LocalExecutor
from hbtrack.executors.worker_files import WorkerFiles

UNTIL_GO = "import os, time\nwhile not os.path.exists('go'): time.sleep(.01)\n"


class Ended(NamedTuple):
    """What an attempt left."""

    attempt: int
    record: Record
    output: Output


class Local(LocalExecutor):
    """An executor of the search `token`, with the GPUs of these keys; scripts run in `cwd`."""

    def __init__(
        self,
        folder: Path,
        cwd: Path,
        *keys: str,
        token: str = "t",
        per_gpu: int = 1,
        max_log: int = 2**30,
        adopted: Sequence[int] = (),
    ) -> None:
        self.token, self.keys = token, keys
        self.heard: list[str] = []
        super().__init__(
            folder,
            cwd=str(cwd),
            max_log=max_log,
            holder=token,
            devices=[Gpu(key, key, key, isolated=False) for key in keys] * per_gpu or [NO_GPU] * 9,
            per_gpu=per_gpu,
            say=self.heard.append,
            adopted={self.name_of(one): Slot(0, "", (), {}) for one in adopted},
        )

    def name_of(self, attempt: int) -> str:
        return attempt_name(self.token, attempt)

    def take(self) -> Slot | None:
        """A worker with all of the GPUs."""
        return self.reserve(every_gpu=len(self.keys) > 1)

    def begin(self, attempt: int, argv: Sequence[str]) -> None:
        """Start an attempt on all of the GPUs."""
        slot = self.take()
        assert slot
        name = self.name_of(attempt)
        self.start(Job(name, argv, {"HBTRACK_ATTEMPT": name}), slot)

    def python(self, code: str, *words: str, attempt: int = 1) -> None:
        """Start Python code."""
        self.begin(attempt, [sys.executable, "-c", code, *words])

    def at_work(self, code: str, attempt: int = 1) -> WorkerFiles:
        """Start Python code and wait until it runs: the files of its worker."""
        self.python(code, attempt=attempt)
        name = self.name_of(attempt)
        files = WorkerFiles(self._folder, self._running[name].files.number)
        wait_for(lambda: files.record(name).pid)  # so that it can be ended
        return files

    def run(self, code: str, *words: str, attempt: int = 1) -> Ended:
        """Run Python code to its end."""
        self.python(code, *words, attempt=attempt)
        return self.next_end()

    def kill(self, attempt: int) -> None:
        """KILL an attempt, at once."""
        self.end(self.name_of(attempt), 0.0)
        self.wait(0)

    def sees(self, attempt: int) -> bool:
        """Whether the attempt has not ended, after a short look."""
        self.wait(0.05)
        return self.name_of(attempt) in self.look()

    def next_end(self) -> Ended:
        """What the next attempt that ends leaves; the executor forgets it."""
        wait_for(lambda: self._ended or self.wait(0.05))
        (name,) = self._ended
        ended = Ended(attempt_number(name), self.record(name), self.output(name))
        self.clear(name)
        return ended

    def end_all(self) -> None:
        """Leave no process behind."""
        for attempt in range(1, 10):
            marks = processes.ProcessMarks(self.name_of(attempt), None, self._folder / "0.lock")
            processes.kill_all(marks)
        self.close()
