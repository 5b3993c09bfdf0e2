"""Copies of the script's working directory, and which files a run wrote and read there.

Whether a file was read is told by its access time: set to long ago before the run, it changes with
the first read on every usual file system (relatime). The file is held open meanwhile, so that one
that is replaced can still be asked. Where access times are not kept, nothing is said of reading.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from hbtrack.errors import UsageError

MOST_BYTES = 512 * 2**20
MOST_FILES = 50_000
LEFT_OUT = {".git", ".hg", ".svn", "__pycache__", "node_modules", ".mypy_cache", ".ruff_cache"}
LONG_AGO = 946_684_800 * 10**9  # the year 2000, in nanoseconds
PREFIX = "hbtrack-check-"
MOST_WATCHED = 200  # files of a checkpoint of which it is seen whether they are read
_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of them is written

# Written by loggers, trackers and caches for people to read, or by any program that runs beside.
_KEPT_OF_RUNS = re.compile(
    r"/(mlruns|mlartifacts|wandb|trackio|swanlog|aim|\.aim|\.neptune|catboost_info|\.hydra|\.cache"
    r"|tensorboard|dvclive|codecarbon|\.ipynb_checkpoints|\.pytest_cache|\.git|\.idea|\.vscode)/"
    r"|/(mlflow\.db[^/]*|nohup\.out|hparams\.yaml|metrics\.csv|emissions\.csv|core(\.\d+)?)$"
    r"|/events\.out\.tfevents\.[^/]*$|\.(log|out|err|lock|pid|pyc|swp|png|svg|pdf|html)$|~$"
    r"|/(log|train|output|history|losses|results?)\w*\.(txt|csv|tsv|jsonl)$",
    re.IGNORECASE,
)

FileState = tuple[int, int, int]  # inode, time of the last change, size


@dataclass(frozen=True, slots=True)
class Touched:
    """The files that a run wrote and read, relative to its working directory."""

    created: frozenset[str]
    changed: frozenset[str]  # existed before
    replaced: frozenset[str]  # of the changed ones: another file under the same name
    removed: frozenset[str]
    read: frozenset[str] | None  # of those that were watched; None where nobody can tell

    @property
    def written(self) -> frozenset[str]:
        """All that it left otherwise than it was."""
        return self.created | self.changed

    @property
    def saved(self) -> frozenset[str]:
        """What it wrote and may go on from: logs are none, nor what libraries keep of runs."""
        return frozenset(name for name in self.written if not _KEPT_OF_RUNS.search(f"/{name}"))


def copy_folder(source: Path, target: Path) -> None:
    """Copy what a script may need; links stay links. Raises UsageError if it is too much.

    What cannot be read is left out, as the script could not read it either; so is what goes away
    meanwhile, such as the temporary files of a search that is running there.
    """
    files = size = 0
    for folder, names, found in os.walk(source):
        here = Path(folder)
        names[:] = [name for name in names if not _left_out(here / name)]
        place = target / here.relative_to(source)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in [*names, *found]:
            item = here / name
            if item.is_symlink():
                _copy_link(item, place / name)
            elif item.is_file() and not name.startswith("hbtrack.db"):
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    files, size = files + 1, size + item.stat().st_size
                    if files > MOST_FILES or size > MOST_BYTES:
                        raise _too_much(source)
                    _copy_file(item, place / name)
        names[:] = [name for name in names if not (here / name).is_symlink()]


def _left_out(folder: Path) -> bool:
    """Whether a script has no use for a copy: version control, caches, virtual environments."""
    if folder.name in LEFT_OUT or folder.name.startswith("hbtrack.db"):
        return True
    return (folder / "pyvenv.cfg").exists() and not folder.is_symlink()


def _too_much(folder: Path) -> UsageError:
    return UsageError(
        f"The folder {folder} holds more than {MOST_BYTES >> 20} MiB or {MOST_FILES} files, too "
        "much to copy for each check. Nothing was run. Type it in a folder that holds the script "
        "and little else (data may be a symbolic link: what it leads to is not copied), or with "
        "--in-place, where the script runs as it is and what it saves for the configs of the check "
        "stays.",
        see="cannot-copy",
    )


def _copy_link(link: Path, target: Path) -> None:
    """A link to the same place; what it names within the folder is named within the copy."""
    text = os.readlink(link)  # noqa: PTH115 - as it is written, not resolved
    target.symlink_to(text if text.startswith("/") else _relative(link, text))


def _relative(link: Path, text: str) -> str:
    """A relative link that leads out of the copied folder would lead nowhere from the copy."""
    return os.path.realpath(link) if text.startswith("..") else text


def _copy_file(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as old, target.open("xb") as new:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        shutil.copystat(source, target)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError:  # not on this file system
        shutil.copy2(source, target)


def states(folder: Path) -> dict[str, FileState]:
    """Every file of the folder, by its relative name."""
    found = {}
    for place, _, names in os.walk(folder):
        if Path(place).name == "__pycache__":
            continue
        for name in names:
            path = os.path.join(place, name)  # noqa: PTH118 - many files
            with contextlib.suppress(OSError):
                stat = os.lstat(path)
                state = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                found[os.path.relpath(path, folder)] = state
    return found


def is_database(file: Path) -> bool:
    """Whether SQLite writes it, in transactions: a kill leaves no half of one."""
    with file.open("rb") as opened:
        return opened.read(16) == b"SQLite format 3\0"


class Watch:
    """Sees what a run does in a folder: made before it, asked once after it.

    Of the files named in `reading` it is seen whether they are read; of too many, of those that
    were written last.
    """

    def __init__(self, folder: Path, reading: frozenset[str] = frozenset()) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}
        self._before = states(folder)
        known = [name for name in sorted(reading) if name in self._before]
        for name in sorted(known, key=self._written_at, reverse=True)[:MOST_WATCHED]:
            with contextlib.suppress(OSError):
                if S_ISREG(os.lstat(folder / name).st_mode):  # opening a FIFO would block
                    self._open[name] = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
        if not all(_keeps_access_time(descriptor) for descriptor in self._open.values()):
            self._close()

    def _written_at(self, name: str) -> int:
        """Checkpoints come after the data that a first run unpacks."""
        return self._before[name][1]

    def touched(self) -> Touched:
        """What has happened since."""
        after, before = states(self._folder), self._before
        both = after.keys() & before.keys()
        changed = {name for name in both if after[name] != before[name]}
        return Touched(
            created=frozenset(after.keys() - before.keys()),
            changed=frozenset(changed),
            replaced=frozenset(name for name in changed if after[name][0] != before[name][0]),
            removed=frozenset(before.keys() - after.keys()),
            read=self._read(),
        )

    def saved(self) -> bool:
        """Whether anything was written yet that it may go on from."""
        now, before = states(self._folder), self._before
        written = (name for name, state in now.items() if before.get(name) != state)
        return any(not _KEPT_OF_RUNS.search(f"/{name}") for name in written)

    def _read(self) -> frozenset[str] | None:
        if not self._open:
            return None
        read = {name for name, descriptor in self._open.items() if _was_read(descriptor)}
        self._close()
        return frozenset(read)

    def _close(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open = {}


def _keeps_access_time(descriptor: int) -> bool:
    """Whether a read of this file can be seen; afterwards it looks as if it was never read."""
    _forget_reads(descriptor)
    forgotten = not _was_read(descriptor)
    os.pread(descriptor, 1, 0)
    seen = _was_read(descriptor)
    _forget_reads(descriptor)
    return forgotten and seen


def _forget_reads(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # not our file
        os.utime(descriptor, ns=(LONG_AGO, os.fstat(descriptor).st_mtime_ns))


def _was_read(descriptor: int) -> bool:
    return os.fstat(descriptor).st_atime_ns != LONG_AGO


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private folder that is removed, whatever the script has made of its rights."""
    folder = Path(tempfile.gettempdir(), f"{PREFIX}{secrets.token_hex(8)}")
    try:  # a signal may come as soon as it is there
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it."""
    for place, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(place).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
