"""Who uses which GPU, among all searches of this user on this machine. Standard library only.

An evaluation holds a lock (flock) on a file for each of its GPUs. The script and its parent inherit
it, so it is held for as long as anything of the attempt is left, whatever became of the driver.
A GPU has as many files as evaluations were ever on it at once. They are never removed: a new file
beside one that is held would let a GPU be taken twice.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from hbtrack.errors import HbtrackError
from hbtrack.executors import flock

_KEY_LENGTH = 150
"""Characters of a key that count; a file's name has room for 255."""


def take(key: str, per_gpu: int, holder: str) -> int | None:
    """Lock a GPU for one more evaluation: the open, locked file; None if it has `per_gpu` already.

    Those of other searches count as well, and they may allow more of them. `holder` is what
    `holder_of` answers from now on.
    """
    folder = _folder()
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
    for file in _files(_folder(), key):
        if flock.is_held(file):
            return file.read_text("utf-8", "replace").strip() or "somebody"
    return None


def _folder() -> Path:
    """Where the locks lie: at one place for all searches, whatever their TMPDIR is."""
    default = f"/tmp/hbtrack-{os.getuid()}"  # noqa: S108 - made safe below
    folder = Path(os.environ.get("HBTRACK_LOCKS") or default)
    advice = "Remove it, or set HBTRACK_LOCKS to a folder of your own for all your searches."
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise HbtrackError(
            f"The folder {folder}, where GPUs are locked, cannot be used: {error.strerror}. "
            f"{advice}",
            see="gpu-locks",
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise HbtrackError(
            f"{folder}, where GPUs are locked, is a link or belongs to somebody else. {advice}",
            see="gpu-locks",
        )
    if found.st_mode & 0o022:
        raise HbtrackError(
            f"Others may write to {folder}, where GPUs are locked; type `chmod 700 {folder}`.",
            see="gpu-locks",
        )
    return folder


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
