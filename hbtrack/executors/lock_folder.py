"""Where the locks of one user lie, of all searches on this machine. Standard library only.

At one place whatever TMPDIR is, and in a folder that nobody else can write to.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hbtrack.errors import HbtrackError

VARIABLE = "HBTRACK_LOCKS"
_NAMES = 10
"""So many names are tried in /tmp, where another user may have made a folder of ours first."""
_ADVICE = f"Remove it, or set {VARIABLE} to a folder of your own for all your searches."


def lock_folder() -> Path:
    """The folder, made if there is none. Raises HbtrackError where there can be none.

    It is what HBTRACK_LOCKS names, else in XDG_RUNTIME_DIR, else in /tmp.
    """
    if named := os.environ.get(VARIABLE):
        return _made(Path(named))
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_absolute() and _problem(Path(runtime)) is None:
        return _made(Path(runtime, "hbtrack"))
    # One that is there comes first: the name that another had taken may have become free since.
    mine = (folder for folder in _names() if _problem(folder) is None)
    free = (folder for folder in _names() if not os.path.lexists(folder))
    return next(mine, None) or _made(next(free, next(_names())))


def _names() -> Iterator[Path]:
    first = f"/tmp/hbtrack-{os.getuid()}"  # noqa: S108 - made safe below
    yield Path(first)
    yield from (Path(f"{first}-{number}") for number in range(2, _NAMES))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        problem = _problem(folder)
    except OSError as error:
        raise HbtrackError(
            f"The folder {folder}, where hbtrack keeps its locks, cannot be used: "
            f"{error.strerror}. {_ADVICE}",
            see="gpu-locks",
        ) from error
    if problem:
        raise HbtrackError(problem, see="gpu-locks")
    return folder


def _problem(folder: Path) -> str | None:
    """Why a folder is none in which locks are safe."""
    try:
        found = folder.lstat()
    except OSError as error:
        return f"{folder}, where hbtrack keeps its locks, cannot be used: {error.strerror}."
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return (
            f"{folder}, where hbtrack keeps its locks, is a link or belongs to somebody else. "
            f"{_ADVICE}"
        )
    if found.st_mode & 0o022:
        return (
            f"Others may write to {folder}, where hbtrack keeps its locks; "
            f"type `chmod 700 {folder}`."
        )
    return None
