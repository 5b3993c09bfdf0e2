"""Who owns a search: a kernel lock on a file, held for as long as its driver lives.

No heartbeat and no expiry: the lock falls free at the driver's death, whatever killed it. Standard
library only; status looks through `owner_of`.
"""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hbtrack.errors import Conflict, HbtrackError
from hbtrack.executors import flock
from hbtrack.executors.processes import has_open, signal_if

PATIENCE = 0.5
"""Seconds in which a driver that is just ending lets go of the lock."""
NAMING = 5.0
"""Seconds in which a driver that has the lock has written who it is, on a machine that stalls."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a search."""

    host: str
    pid: int
    since: float  # Unix time

    def __str__(self) -> str:
        if self == UNNAMED:
            return "just started"
        age = max(0, int(time.time() - self.since))
        return f"pid {self.pid} on {self.host}, for {age // 3600}:{age // 60 % 60:02}:{age % 60:02}"


UNNAMED = Owner("", 0, 0.0)
"""A live owner that has not written who it is."""


class DriverLock:
    """The lock of one search's driver, in the search's folder. Raises Conflict when it is taken."""

    def __init__(self, folder: Path, run_identity: str) -> None:
        self.folder = folder
        self._lock = _take(folder, run_identity)
        self.owner = Owner(socket.gethostname(), os.getpid(), time.time())
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps(asdict(self.owner)).encode(), 0)

    def release(self) -> None:
        """Let another driver have the search."""
        os.close(self._lock)


def owned(run_identity: str, owner: Owner) -> Conflict:
    """The refusal of a search that another driver runs."""
    return Conflict(
        f"Another hbtrack is running {run_identity!r} ({owner}). "
        "It goes on undisturbed; `hbtrack status` shows how far it is.",
        see="another-driver",
    )


def owner_of(folder: Path) -> Owner | None:
    """The live owner of a search, if it has one: UNNAMED if it does not say who it is for long."""
    deadline = time.monotonic() + NAMING
    while _is_held(folder):
        if owner := _read(_lock_path(folder)):
            return owner
        if time.monotonic() > deadline:
            return UNNAMED
        time.sleep(0.005)
    return None


def require_no_driver(database: Path, folders: Iterable[Path]) -> None:
    """Raise Conflict while a driver, be it of an older version, runs a search of the database."""
    for folder in folders:
        if owner := owner_of(folder):
            raise Conflict(
                f"Another hbtrack, of an older version, is running a search of {database} "
                f"({owner}), and could not go on if the file were upgraded. It goes on "
                "undisturbed, and nothing was changed. Type the same again when it has ended; "
                f"`kill -TERM {owner.pid}` on {owner.host} has it end as Ctrl-C does.",
                see="another-driver",
            )


def wait_for_owner(folder: Path) -> None:
    """Return when the search has no driver: sleeps in the kernel until its lock falls free.

    Those who look do not notice, nor does a driver that comes next.
    """
    with contextlib.suppress(OSError):
        flock.wait_until_free(_lock_path(folder))


def signal_owner(folder: Path, number: signal.Signals) -> bool:
    """Signal the live owner of a search; False if it has none.

    Raises Conflict when it cannot be reached from here: another machine, container or user.
    """
    owner = owner_of(folder)
    while owner:
        here = owner.host == socket.gethostname()
        if here and signal_if(owner.pid, number, lambda pid: has_open(pid, _lock_path(folder))):
            return True
        tried, owner = owner, owner_of(folder)
        if owner == tried:
            raise Conflict(
                f"The hbtrack that runs the search ({owner}) cannot be reached from here. "
                "Nothing was stopped; type `hbtrack stop` there.",
                see="unreachable-driver",
            )
    return False


def _take(folder: Path, run_identity: str) -> int:
    """The locked lock file, soon. Raises Conflict when another driver has it for longer."""
    deadline = time.monotonic() + PATIENCE
    with _no_locks_explained(folder):
        while (lock := flock.take(_lock_path(folder))) is None:
            # However many readers look just now, as long as they can, no driver holds it.
            is_owned = flock.is_held(_lock_path(folder)) and time.monotonic() > deadline
            if is_owned and (owner := owner_of(folder)):
                raise owned(run_identity, owner)
            from random import uniform  # noqa: PLC0415 - slow to import for those who only read

            time.sleep(uniform(0.001, 0.02))  # noqa: S311 - two that start at once part
    return lock


def _is_held(folder: Path) -> bool:
    """Whether a search has a driver; not if its lock file cannot be opened."""
    with contextlib.suppress(OSError), _no_locks_explained(folder):
        return flock.is_held(_lock_path(folder))
    return False


@contextlib.contextmanager
def _no_locks_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except flock.NoLocks as error:
        raise HbtrackError(
            f"The file system of {folder} has no locks ({error.strerror}), so hbtrack cannot know "
            "whether it is alone. Nothing was started; put the database on a local disk with --db.",
            see="no-locks",
        ) from error


def _lock_path(folder: Path) -> Path:
    return folder / "driver.lock"


def _read(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # its owner is just writing it
        return None
