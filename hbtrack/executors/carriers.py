"""The processes that belong to an attempt, wherever they have gone.

A process belongs to it if it carries the attempt's HBTRACK_ATTEMPT, or if it is in the script's
session and has the attempt's lock file open: a script may overwrite its environment (setproctitle)
or clear it (exec). Linux only: elsewhere nothing is found, and a script's group is all that is
ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Traces:
    """By what an attempt's processes are known: `pid` led the script's session, if it ever ran."""

    name: str  # its HBTRACK_ATTEMPT
    pid: int | None
    lock: Path


def all_gone(traces: Traces) -> bool:
    """Whether nothing of the attempt is left, nor of its session. False where nobody can tell."""
    if not _can_look():
        return False
    if traces.pid and _carries(traces.pid, traces.name):  # the usual case, without a search
        return False
    return not any(_carries(p, traces.name) or _in_session(p, traces.pid) for p in _processes())


def belonging(traces: Traces) -> list[int]:
    """The processes, zombies apart, that belong to the attempt."""
    return [pid for pid in _processes() if _belongs(pid, traces)]


def signal_all(traces: Traces, number: signal.Signals) -> None:
    """Signal all of them."""
    for pid in belonging(traces):
        signal_if(pid, number, lambda pid: _belongs(pid, traces))


def signal_if(pid: int, number: signal.Signals, is_meant: Callable[[int], bool]) -> bool:
    """Signal a process, through a handle so that a reused number is never hit; whether it was."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        handle = os.pidfd_open(pid)
        try:
            if is_meant(pid):
                signal.pidfd_send_signal(handle, number)
                return True
        finally:
            os.close(handle)
    return False


def kill_all(traces: Traces) -> None:
    """Kill all of them and what they start meanwhile."""
    deadline = time.monotonic() + _SECONDS
    while belonging(traces) and time.monotonic() < deadline:
        signal_all(traces, signal.SIGKILL)
        time.sleep(0.002)  # the kernel needs a moment to take them down


def _can_look() -> bool:
    return (_PROC / "self" / "environ").exists()


def _processes() -> Iterator[int]:
    if _can_look():
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _belongs(pid: int, traces: Traces) -> bool:
    in_session = _in_session(pid, traces.pid) and has_open(pid, traces.lock)
    return in_session or _carries(pid, traces.name)


def _carries(pid: int, name: str) -> bool:
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return b"HBTRACK_ATTEMPT=" + name.encode() in environment.split(b"\0")


def _in_session(pid: int, leader: int | None) -> bool:
    """Whether a process that is not a zombie is in the session that `leader` began."""
    try:
        if leader is None or os.getsid(pid) != leader:
            return False
        state = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in (b"Z", b"X")


def has_open(pid: int, file: Path) -> bool:
    """Whether a process has a file open, as far as we may look."""
    with contextlib.suppress(OSError):
        wanted = file.stat()
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                found = entry.stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    return False
