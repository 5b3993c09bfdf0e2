"""What scripts have saved in the folders of a search's checkpoints: how much, and removing it.

A link is never followed: what it leads to is not counted, and stays.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hbtrack.core.contract import checkpoint_name
from hbtrack.core.records import Search
from hbtrack.database.location import SIGN, checkpoints_folder, require_private

_GONE = ".removed-"


@dataclass(frozen=True, slots=True)
class Saved:
    """The folder in which those of all configs lie, which need not be there."""

    folder: Path

    @classmethod
    def of(cls, database: Path, search: Search) -> "Saved":
        """That of a search. Raises HbtrackError if it, or what it lies in, is a link."""
        elsewhere = search.resources.checkpoints
        folder = checkpoints_folder(database, search.token, elsewhere)
        above = () if elsewhere else (folder.parent.parent, folder.parent)
        for level in (*above, folder):
            if not os.path.lexists(level):
                break
            require_private(level)
        return cls(folder)

    def configs(self, config_ids: Iterable[str]) -> dict[str, Path]:
        """Which of these have a folder with anything in it."""
        folders = {config_id: self.folder / checkpoint_name(config_id) for config_id in config_ids}
        return {config_id: folder for config_id, folder in folders.items() if _holds_any(folder)}

    def missing_in(self, other: "Saved") -> int:
        """How many configs have anything here, and nothing there."""
        return sum(
            _holds_any(folder) and not _holds_any(other.folder / folder.name)
            for folder in self.folder.glob("*")
            if _GONE not in folder.name
        )

    def size(self) -> int:
        """Bytes of all."""
        return size_of(self.folder)

    def put_aside(self, folders: Iterable[Path]) -> None:
        """Take these folders of configs out of use, each at once; `sweep` removes them."""
        for folder in folders:
            with suppress(FileNotFoundError):
                folder.rename(folder.with_name(f"{folder.name}{_GONE}{os.getpid()}"))

    def sweep(self) -> None:
        """Remove what was put aside, also by one that was killed before it came to this."""
        for gone in self.folder.glob(f"*{_GONE}*"):
            _remove(gone)

    def remove_all(self) -> None:
        """Remove the folder with all that is in it."""
        if self.folder.exists():
            _remove(self.folder)

    def remove_empty(self) -> None:
        """Remove the folders in which nothing is, and their own if none is left."""
        for folder in self.folder.glob("*"):
            with suppress(OSError):
                folder.rmdir()
        if list(self.folder.glob("*")) == [self.folder / SIGN]:
            (self.folder / SIGN).unlink()
        with suppress(OSError):
            self.folder.rmdir()


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; none where that is a link."""
    size = 0
    for place, _, names in [] if folder.is_symlink() else os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - many files
    return size


def _holds_any(folder: Path) -> bool:
    """Whether it is a folder with anything in it, or a link in its place."""
    if folder.is_symlink():
        return True
    with suppress(OSError), os.scandir(folder) as entries:
        return any(entries)
    return False


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)  # which follows no link
