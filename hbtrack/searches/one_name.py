"""A database is written under one name at a time: a bind mount may give its file a second one.

Under each name there would be a NAME.d, so that two drivers could be sure to be alone, and for
SQLite a -wal. The lock is a file of its own, named by the device and inode of the database: hbtrack
never opens that beside SQLite, since to close it again would take SQLite's own locks away. Whoever
writes holds it shared, and in it stands the name that they use.
"""

import contextlib
import fcntl
import json
import os
import random
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hbtrack.errors import Conflict, HbtrackError
from hbtrack.executors.lock_folder import lock_folder

PATIENCE = 5.0
"""Seconds in which whoever has the lock for itself has written the name."""


def hold_name(database: Path) -> int | None:
    """The open lock of the name of a database; None where there is no such file, or no lock.

    Raises Conflict when its file is in use under another name, or was used under one that is still
    there: scripts may run that are known by that name only.
    """
    try:
        lock = os.open(_path_of(database), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except (OSError, HbtrackError):  # no such file, no folder, no room
        return None
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, lock)
        try:
            other = _other_name(lock, database)
        except OSError:  # no locks there
            return None
        if other is not None:
            raise Conflict(
                f"{database} is also called {other}, and is used by that name. Nothing was "
                f"changed; type the same with --db {shlex.quote(other)}",
                see="several-names",
            )
        undo.pop_all()
    return lock


@contextlib.contextmanager
def under_one_name(database: Path) -> Iterator[None]:
    """While it lasts nobody writes to the file under another name: hold_name()."""
    lock = hold_name(database)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _path_of(database: Path) -> Path:
    state = database.stat()
    return lock_folder() / f"db-{state.st_dev}-{state.st_ino}"


def _other_name(lock: int, database: Path) -> str | None:
    """Have the lock say the name of this database, or find that it says another one: its path."""
    if _locked(lock, fcntl.LOCK_EX):  # nobody uses it just now
        name, path = _read(lock)
        if name != _name(database) and not _is_another_name(path, database):
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps([_name(database), str(database)]).encode(), 0)
    deadline = time.monotonic() + PATIENCE
    while not _locked(lock, fcntl.LOCK_SH) and time.monotonic() < deadline:
        time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - somebody is writing the name
    name, path = _read(lock)
    return path if name not in (None, _name(database)) else None


def _name(database: Path) -> list[int | str]:
    """The same for all paths that lead to one folder: there everything has one name."""
    folder = database.parent.stat()
    return [folder.st_dev, folder.st_ino, database.name]


def _is_another_name(path: str, database: Path) -> bool:
    """Whether that path leads to the file, too; the same path may be in a folder made anew."""
    with contextlib.suppress(OSError):
        return path != str(database) and database.samefile(path)
    return False


def _read(lock: int) -> tuple[Any, str]:
    try:
        name, path = json.loads(os.pread(lock, 1 << 16, 0))
        return name, str(path)
    except ValueError:  # new, or there was no room for it
        return None, ""


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
