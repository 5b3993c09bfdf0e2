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
_WARDEN = b"/hbtrack/executors/warden.py"
_SECONDS = 10.0  # for what was killed to vanish, with all its memory


@dataclass(frozen=True, slots=True)
class ProcessMarks:
    """By what an attempt's processes are known: `pid` led the script's session, if it ever ran."""

    name: str  # its HBTRACK_ATTEMPT
    pid: int | None
    lock: Path


def all_gone(marks: ProcessMarks) -> bool:
    """Whether nothing of the attempt is left, nor of its session. False where nobody can tell."""
    if not _can_look():
        return False
    if marks.pid and _carries(marks.pid, marks.name):  # the usual case, without a search
        return False
    return not any(_carries(p, marks.name) or _in_session(p, marks.pid) for p in _processes())


def is_wardens(lock: Path) -> bool:
    """Whether a warden that is not stopped has a lock file open: it still has something to say."""
    return any(_is_warden_at_work(pid) and has_open(pid, lock) for pid in _processes())


def belonging(marks: ProcessMarks) -> list[int]:
    """The processes, zombies apart, that belong to the attempt."""
    return [pid for pid in _processes() if _belongs(pid, marks)]


def names_at_work(prefix: str, folder: Path) -> set[str]:
    """The names, of those with that prefix, of processes with a file of that folder open."""
    found = {pid: name for pid in _processes() if (name := _name_of(pid)).startswith(prefix)}
    return {name for pid, name in found.items() if _has_open_in(pid, folder.resolve())}


def signal_all(marks: ProcessMarks, number: signal.Signals) -> None:
    """Signal all of them."""
    for pid in belonging(marks):
        signal_if(pid, number, lambda pid: _belongs(pid, marks))


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


def kill_all(marks: ProcessMarks) -> None:
    """Kill all of them and what they start meanwhile, and wait until they are gone.

    While one gives back its memory nothing tells any more that it belongs to the attempt.
    """
    deadline = time.monotonic() + _SECONDS
    dying: set[int] = set()
    while time.monotonic() < deadline:
        dying = {pid for pid in dying if _lives(pid)}.union(belonging(marks))
        if not dying:
            return
        signal_all(marks, signal.SIGKILL)
        time.sleep(0.002)  # the kernel needs a moment to take them down


def _can_look() -> bool:
    return (_PROC / "self" / "environ").exists()


def _processes() -> Iterator[int]:
    if _can_look():
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _belongs(pid: int, marks: ProcessMarks) -> bool:
    in_session = _in_session(pid, marks.pid) and has_open(pid, marks.lock)
    return in_session or _carries(pid, marks.name)


def _carries(pid: int, name: str) -> bool:
    return _name_of(pid) == name


def _name_of(pid: int) -> str:
    """The HBTRACK_ATTEMPT of a process; empty if it has none, or we may not look."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return ""
    words = [word for word in environment.split(b"\0") if word.startswith(b"HBTRACK_ATTEMPT=")]
    return words[0].partition(b"=")[2].decode("utf-8", "replace") if words else ""


def _in_session(pid: int, leader: int | None) -> bool:
    """Whether a process that is not a zombie is in the session that `leader` began."""
    try:
        return leader is not None and os.getsid(pid) == leader and _lives(pid)
    except OSError:
        return False


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return _state_of(pid) not in "ZX"
    return False


def _is_warden_at_work(pid: int) -> bool:
    try:
        command = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return any(word.endswith(_WARDEN) for word in command) and _state_of(pid) not in "ZXTt"
    except OSError:
        return False


def _state_of(pid: int) -> str:
    """One letter: Z and X have ended, T and t are stopped. Raises OSError for one that is gone."""
    stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    return stat.rpartition(")")[2].split()[0]


def has_open(pid: int, file: Path) -> bool:
    """Whether a process has a file open, as far as we may look."""
    with contextlib.suppress(OSError):
        return any(entry.samefile(file) for entry in _descriptors(pid))
    return False


def _has_open_in(pid: int, folder: Path) -> bool:
    return any(entry.resolve().is_relative_to(folder) for entry in _descriptors(pid))


def _descriptors(pid: int) -> Iterator[Path]:
    """The open files of a process, each as a link to it."""
    with contextlib.suppress(OSError):
        for entry in (_PROC / str(pid) / "fd").iterdir():
            if entry.exists():
                yield entry
