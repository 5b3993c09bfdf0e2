"""Kernel locks on files (flock): held while any process has the open file. Standard library only.

Who only looks takes a shared lock and lets go at once, so it is in the way of an exclusive one for
a moment, and of nobody else who looks.
"""

import contextlib
import fcntl
import os
from io import FileIO
from pathlib import Path


class NoLocks(OSError):
    """The file system of a file has no locks."""


def take(path: Path, flags: int = 0) -> int | None:
    """The file, open and locked, or None when somebody holds it, or has removed it just now.

    It is made if there is none, for its owner only. Raises OSError when it is a link, NoLocks.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(path, flags, 0o600)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, lock)
        with contextlib.suppress(FileNotFoundError):
            if _try(lock, fcntl.LOCK_EX) and os.path.samestat(os.fstat(lock), path.stat()):
                undo.pop_all()
                return lock
    return None


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock of a file; not if there is no file. Raises NoLocks."""
    try:
        with _opened(path) as file:
            return not _try(file.fileno(), fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def wait_until_free(path: Path) -> None:
    """Return when nobody holds the lock of a file, or there is none: sleeps in the kernel."""
    with contextlib.suppress(FileNotFoundError), _opened(path) as file:
        fcntl.flock(file, fcntl.LOCK_SH)


def _opened(path: Path) -> FileIO:
    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW)

    return open(path, "rb", 0, opener=opener)


def _try(lock: int, kind: int) -> bool:
    """Whether the open file could be locked at once. Raises NoLocks."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise NoLocks(*error.args) from error
    return True
