"""The processes that belong to an attempt, wherever they have gone.

A process belongs to it if it carries the attempt's HBTRACK_ATTEMPT, or if it is in the script's
session and has the attempt's lock file open: a script may overwrite its environment (setproctitle)
or clear it (exec). Linux tells all this in /proc; elsewhere (macOS) psutil knows. Where neither
does, nothing is found, and a script's group is all that is ended.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINUX = sys.platform == "linux"
_PROC = Path("/proc")
_WARDEN = "/hbtrack/executors/warden.py"
_ENDED = {"Z", "X", "zombie", "dead"}  # as Linux says, and as psutil does
_STOPPED = {"T", "t", "stopped", "tracing-stop"}
_SECONDS = 10.0  # for what was killed to vanish, with all its memory


@dataclass(frozen=True, slots=True)
class ProcessMarks:
    """By what an attempt's processes are known: `pid` led the script's session, if it ever ran."""

    name: str  # its HBTRACK_ATTEMPT
    pid: int | None
    lock: Path


def all_gone(marks: ProcessMarks) -> bool:
    """Whether nothing of the attempt is left, nor of its session. False where nobody can tell."""
    if marks.pid and _name_of(marks.pid) == marks.name:  # the usual case, without a search
        return False
    pids = _pids()
    left = (pid for pid in pids if _name_of(pid) == marks.name or _in_session(pid, marks.pid))
    return bool(pids) and not any(left)


def is_wardens(lock: Path) -> bool:
    """Whether a warden that is not stopped has a lock file open: it still has something to say."""
    return any(_is_warden_at_work(pid) and has_open(pid, lock) for pid in _pids())


def belonging(marks: ProcessMarks) -> list[int]:
    """The processes, zombies apart, that belong to the attempt."""
    return [pid for pid in _pids() if _belongs(pid, marks)]


def names_at_work(prefix: str, folder: Path) -> set[str]:
    """The names, of those with that prefix, of processes with a file of that folder open."""
    folder = folder.resolve()
    found = {pid: name for pid in _pids() if (name := _name_of(pid)).startswith(prefix)}
    return {
        name
        for pid, name in found.items()
        if any(file.resolve().is_relative_to(folder) for file in _open_files(pid))
    }


def signal_all(marks: ProcessMarks, number: signal.Signals) -> None:
    """Signal all of them."""
    for pid in belonging(marks):
        signal_if(pid, number, lambda pid: _belongs(pid, marks))


def signal_if(pid: int, number: signal.Signals, is_meant: Callable[[int], bool]) -> bool:
    """Signal a process if it is the one that is meant, whose number may be reused; whether it was.

    Through a handle that means no other process. Where there are none nothing comes between the
    look and the signal.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError), contextlib.ExitStack() as undo:
        handle = _handle(pid)
        if handle is not None:
            undo.callback(os.close, handle)
        if is_meant(pid):
            if handle is not None and hasattr(signal, "pidfd_send_signal"):
                signal.pidfd_send_signal(handle, number)
            else:
                os.kill(pid, number)
            return True
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


def _belongs(pid: int, marks: ProcessMarks) -> bool:
    in_session = _in_session(pid, marks.pid) and has_open(pid, marks.lock)
    return in_session or _name_of(pid) == marks.name


def _in_session(pid: int, leader: int | None) -> bool:
    """Whether a process that is not a zombie is in the session that `leader` began."""
    try:
        return leader is not None and os.getsid(pid) == leader and _lives(pid)
    except OSError:
        return False


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return _status_of(pid) not in _ENDED
    return False


def _is_warden_at_work(pid: int) -> bool:
    with contextlib.suppress(OSError):
        is_warden = any(word.endswith(_WARDEN) for word in command_of(pid))
        return is_warden and _status_of(pid) not in _ENDED | _STOPPED
    return False


def has_open(pid: int, file: Path) -> bool:
    """Whether a process has a file open, as far as we may look."""
    with contextlib.suppress(OSError):
        return any(one.samefile(file) for one in _open_files(pid))
    return False


# --- what the system tells -----------------------------------------------------------------------


def _pids() -> list[int]:
    """All processes that can be seen; none where nobody can tell."""
    if not LINUX:
        return list(_psutil().pids())
    if not (_PROC / "self" / "environ").exists():
        return []
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _name_of(pid: int) -> str:
    """The HBTRACK_ATTEMPT of a process; empty if it has none, or we may not look."""
    try:
        if not LINUX:
            return str(_ask(pid, "environ").get("HBTRACK_ATTEMPT", ""))
        _, _, found = (b"\0" + _read(pid, "environ")).partition(b"\0HBTRACK_ATTEMPT=")
        return os.fsdecode(found.partition(b"\0")[0])
    except OSError:
        return ""


def _status_of(pid: int) -> str:
    """Whether it has _ENDED, is _STOPPED or something else. Raises OSError for one that is gone."""
    if not LINUX:
        return str(_ask(pid, "status"))
    return _read(pid, "stat").rpartition(b")")[2].split()[0].decode()


def command_of(pid: int) -> list[str]:
    """The words that a process was started with. Raises OSError for one that is gone or hidden."""
    if not LINUX:
        return list(_ask(pid, "cmdline"))
    return _read(pid, "cmdline").decode("utf-8", "replace").rstrip("\0").split("\0")


def _open_files(pid: int) -> list[Path]:
    """The open files of a process, by paths that lead to them, as far as we may look."""
    with contextlib.suppress(OSError):
        if not LINUX:
            return [Path(file.path) for file in _ask(pid, "open_files")]
        return [entry for entry in (_PROC / str(pid) / "fd").iterdir() if entry.exists()]
    return []


def _handle(pid: int) -> int | None:
    """What means this process alone, whoever has its number next; None where there are none.

    That is on macOS, before Linux 5.3, and where a container forbids it.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return int(os.pidfd_open(pid))
    except ProcessLookupError:
        raise
    except OSError:
        return None


def _read(pid: int, name: str) -> bytes:
    return (_PROC / str(pid) / name).read_bytes()


def _ask(pid: int, question: str) -> Any:
    """What psutil answers. Raises OSError when it has no answer."""
    psutil = _psutil()
    try:
        return getattr(psutil.Process(pid), question)()
    except psutil.Error as error:
        raise ProcessLookupError(str(error)) from error


def _psutil() -> Any:
    import psutil  # noqa: PLC0415 - 20 ms, where /proc needs none

    return psutil
