"""What the loop asks of where attempts run, and what comes back. Imports nothing of hbtrack."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """What a lock file says of one attempt."""

    asked: bool = False  # the driver was about to ask for its start
    pid: int | None = None
    where: str | None = None  # the process table in which pid is a number
    failed: int | None = None  # errno: it could not be started
    signalled: bool = False  # a stop signal hit its parent while it ran
    overflow: bool = False  # it printed too much
    full: bool = False  # the disk of its output was full
    oom: bool = False  # the kernel ran out of memory as it was killed
    exit_status: int | None = None  # as in subprocess: negative is a signal
    finished_at: float | None = None
    seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the record says that nothing more will come."""
        return self.exit_status is not None or self.failed is not None


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that nobody works on any more."""

    attempt: int
    worker: int
    record: Record


@dataclass(frozen=True, slots=True)
class Output:
    """What an attempt printed."""

    last_line: bytes = b""  # the last non-empty line of stdout, without its newline
    stdout: str = ""  # up to KEPT bytes from the end
    stderr: str = ""
    log: str | None = None  # name of the longer logs, without ending


class Executor(Protocol):
    """Where attempts run. The local processes are one; tests have another."""

    def has_room(self) -> bool:
        """Whether what a new attempt writes would find room."""

    def take_worker(self, keys: Sequence[str] = (), per_gpu: int = 1) -> int | None:
        """Reserve a worker, with the GPUs of these keys, for an attempt about to be recorded.

        None if somebody else uses one of the GPUs.
        """

    def user_of(self, key: str) -> str | None:
        """Who uses the GPU of this key, as far as anybody knows."""

    def start(self, attempt: int, worker: int, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Run a recorded attempt."""

    def adopt(self, attempt: int, worker: int) -> None:
        """Watch over an attempt of a dead driver."""

    def wait(self, timeout: float | None) -> list[Ended]:
        """What has ended, as soon as there is something."""

    def wake(self) -> None:
        """Make `wait` return."""

    def output(self, ended: Ended) -> Output:
        """What an ended attempt printed."""

    def clear(self, ended: Ended) -> None:
        """Its output is recorded."""

    def signal(self, attempt: int, number: signal.Signals) -> None:
        """Signal an attempt's processes."""
