"""The processes that carry an attempt's HBTRACK_ATTEMPT, wherever they have gone.

Linux only: elsewhere nothing is found, and a script's group is all that is ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_SECONDS = 5.0


def all_gone(name: str, pid: int) -> bool:
    """Whether no process carries the name any more; `pid` did and is looked at first.

    False where the system does not tell.
    """
    return _can_look() and not _carries(pid, name) and not carriers(name)


def carriers(name: str) -> list[int]:
    """The processes, zombies apart, that were started with HBTRACK_ATTEMPT=name."""
    return [pid for pid in _processes() if _carries(pid, name)]


def signal_carriers(name: str, number: signal.Signals) -> None:
    """Signal all of them; each through a handle, so that a reused number is never hit."""
    for pid in carriers(name):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            handle = os.pidfd_open(pid)
            try:
                if _carries(pid, name):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def kill_carriers(name: str) -> None:
    """Kill all of them and what they start meanwhile."""
    deadline = time.monotonic() + _SECONDS
    while carriers(name) and time.monotonic() < deadline:
        signal_carriers(name, signal.SIGKILL)
        time.sleep(0.002)  # the kernel needs a moment to take them down


def _can_look() -> bool:
    return (_PROC / "self" / "environ").exists()


def _processes() -> Iterator[int]:
    if _can_look():
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _carries(pid: int, name: str) -> bool:
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return b"HBTRACK_ATTEMPT=" + name.encode() in environment.split(b"\0")
