"""Who uses which GPU, among all searches of this user on this machine. Standard library only.

An evaluation holds a lock (flock) on a file for each of its GPUs. The script and its parent inherit
it, so it is held for as long as anything of the attempt is left, whatever became of the driver.
A GPU has as many files as evaluations were ever on it at once. They are never removed: a new file
beside one that is held would let a GPU be taken twice.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from hbtrack.executors import flock
from hbtrack.executors.lock_folder import lock_folder

_KEY_LENGTH = 150
"""Characters of a key that count; a file's name has room for 255."""


def take(key: str, per_gpu: int, holder: str) -> int | None:
    """Lock a GPU for one more evaluation: the open, locked file; None if it has `per_gpu` already.

    Those of other searches count as well, and they may allow more of them. `holder` is what
    `holder_of` answers from now on.
    """
    folder = lock_folder()
    for slot in range(per_gpu):
        lock = flock.take(folder / f"{_stem(key)}{slot}")
        if lock is not None:
            break
    else:
        return None
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, lock)
        # Counted after locking: of two that come at the same moment at least one sees the other.
        if sum(map(flock.is_held, _files(folder, key))) > per_gpu:
            return None
        _sign(lock, holder)
        undo.pop_all()
    return lock


def holder_of(key: str) -> str | None:
    """Who uses a GPU, as far as hbtrack knows; one of them, if there are several."""
    for file in _files(lock_folder(), key):
        if flock.is_held(file):
            return file.read_text("utf-8", "replace").strip() or "somebody"
    return None


def _files(folder: Path, key: str) -> Iterator[Path]:
    """All files of a GPU, also those of searches that allow more evaluations on it."""
    for file in sorted(folder.iterdir()):
        if file.name.startswith(_stem(key)) and file.name[len(_stem(key)) :].isdigit():
            yield file


def _stem(key: str) -> str:
    return f"gpu-{quote(key, safe='')[:_KEY_LENGTH]}."


def _sign(lock: int, holder: str) -> None:
    """Write who holds it, and make the file new for what clears /tmp of old ones."""
    with contextlib.suppress(OSError):  # a full disk: then messages name nobody
        os.utime(lock)
        os.ftruncate(lock, 0)
        os.write(lock, " ".join(holder.split()).encode("utf-8", "replace") + b"\n")
