"""What the loop asks of where attempts run, and what comes back. Imports nothing of hbtrack.

An executor for another engine is a class with the methods of `Executor`; `tests/in_process.py` is
one of a few lines. The loop knows attempts by their names and asks three things: a slot before an
attempt is recorded, its start after, and what is still there. **What `look` no longer names has
ended**; `record` and `output` then tell how, until `clear`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol


def attempt_name(token: str, attempt: int) -> str:
    """The name of an attempt of the search with this token; scripts get it as HBTRACK_ATTEMPT."""
    return f"{token}-{attempt}"


def attempt_number(name: str) -> int:
    """The attempt that has this name."""
    return int(name.rpartition("-")[2])


class Slot(NamedTuple):
    """Where an attempt is going to run."""

    worker: int
    gpu: str  # as it is recorded; several are separated by commas
    gpus: Sequence[str]  # as the script is told
    env: Mapping[str, str]  # what the script's environment gets, to see these GPUs only


class Job(NamedTuple):
    """An attempt as it is to be run."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]  # added to the environment


class Seen(Enum):
    """How an executor finds an attempt that has not ended."""

    QUEUED = "queued"  # accepted, not begun: its time has not begun either
    RUNNING = "running"
    STUCK = "stuck"  # held back, will never begin


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
    peak_memory: int | None = None  # bytes, of its largest process
    cpu_seconds: float | None = None  # of it and all that it waited for
    since_boot: float | None = None  # seconds, at its end; 0 before this boot; None: nobody knows

    @property
    def ended(self) -> bool:
        """Whether the record says that nothing more will come."""
        return self.exit_status is not None or self.failed is not None


@dataclass(frozen=True, slots=True)
class Output:
    """What an attempt printed."""

    last_line: bytes = b""  # the last non-empty line of stdout, without its newline
    stdout: str = ""  # up to KEPT bytes from the end
    stderr: str = ""
    log: str | None = None  # name of the longer logs, without ending


class Executor(Protocol):
    """Where the attempts of one search run. One that is made knows those that are open already.

    Local processes are one; tests have another.
    """

    def has_room(self) -> bool:
        """Whether what a new attempt writes would find room on the disk."""

    def reserve(self, barred: Collection[str] = (), *, every_gpu: bool = False) -> Slot | None:
        """A slot for an attempt that is about to be recorded, on none of the GPUs `barred`.

        With `every_gpu` one that has all GPUs, if these are idle. None if nothing is free just
        now; when that may change is for `wait` to know.
        """

    def start(self, job: Job, slot: Slot) -> None:
        """Run a recorded attempt. Asking twice for one name starts one process."""

    def look(self) -> Mapping[str, Seen] | None:
        """The attempts of this search that have not ended, by name; None if nobody can tell now."""

    def wait(self, timeout: float | None) -> None:
        """Return after so many seconds, or as soon as there may be news; a hint, no promise."""

    def wake(self) -> None:
        """Make `wait` return; from any thread."""

    def end(self, name: str, grace: float) -> None:
        """Ask an attempt to end (TERM), and end it when the grace period is over (KILL).

        May be asked again, with a shorter period; does nothing when the attempt has ended.
        """

    def record(self, name: str) -> Record:
        """What is known of an attempt that has ended."""

    def output(self, name: str) -> Output:
        """What an ended attempt printed."""

    def clear(self, name: str) -> None:
        """The outcome of an ended attempt is recorded: its traces may go."""

    def close(self) -> None:
        """The driver goes; what outlives it stays."""
