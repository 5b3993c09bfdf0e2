"""Where the database and the files beside it lie. Standard library only.

Beside `NAME` lies the folder `NAME.d` with a folder per search, named by its private key: its log,
its driver's lock and the files of its workers; and a folder `checkpoints` with one per search and
in it one per config, unless these were put on another disk. Everything is private to the user.
"""

import contextlib
import os
import stat
from pathlib import Path

from hbtrack.errors import HbtrackError, NotFound, UsageError

DEFAULT = "hbtrack.db"
VARIABLE = "HBTRACK_DB"


def database_path(option: str | None) -> Path:
    """The database that `--db`, else HBTRACK_DB, else ./hbtrack.db names; absolute.

    A link to a file stands for the file: by whatever name it is used, NAME.d is the same.
    """
    name = option or os.environ.get(VARIABLE) or DEFAULT
    try:
        path = Path(name).expanduser().absolute()
    except RuntimeError as error:
        raise NotFound(
            f"{name} names the home of a user that is not there.", see="no-database"
        ) from error
    _require_file(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _require_file(path: Path) -> None:
    """Raise UsageError for what is there and holds no file: to open a FIFO may wait for ever."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL in it
        return
    if not stat.S_ISREG(kind):
        what = "folder" if stat.S_ISDIR(kind) else "device, a pipe or a socket"
        raise UsageError(
            f"{path} is a {what}, and no database can be there. It was not "
            "opened; name a file with --db PATH.",
            see="no-file",
        )


def existing_database(option: str | None) -> Path:
    """The same, for reading: raises NotFound when there is none, and creates nothing."""
    path = database_path(option)
    if not path.is_file() or path.stat().st_size == 0:
        raise NotFound(
            f"There is no hbtrack database at {path}; nothing was created. Name another with --db "
            f"PATH or {VARIABLE}, or start a search with `hbtrack run SCRIPT`.",
            see="no-database",
        )
    return path


def create_private(path: Path) -> bool:
    """Make an empty file that only the user can read, if there is none yet; whether it did.

    SQLite gives its -wal and -shm files the same rights.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        raise HbtrackError(
            f"The database {path} cannot be created: {error.strerror}. "
            "Nothing was started; name another place with --db PATH.",
            see="cannot-write",
        ) from error
    return True


def search_folder(database: Path, search_pk: int) -> Path:
    """The folder of one search beside the database, whether it exists or not."""
    return database.with_name(database.name + ".d") / str(search_pk)


def search_folders(database: Path) -> list[Path]:
    """The folders of searches that exist beside the database, whatever it says of them."""
    with contextlib.suppress(OSError):
        return sorted(database.with_name(database.name + ".d").glob("[0-9]*"))
    return []


def checkpoints_folder(database: Path, token: str, elsewhere: str | None) -> Path:
    """The folder of a search's checkpoints, whether it exists or not: in NAME.d, or `elsewhere`.

    Its name is the search's token, which no other ever gets, also when this one is removed.
    """
    return Path(elsewhere or database.with_name(database.name + ".d") / "checkpoints") / token


def require_there(elsewhere: str | None) -> None:
    """Raise UsageError unless the folder that the user named for checkpoints is there.

    A disk that is not mounted would else be taken for one on which nothing was saved yet.
    """
    if elsewhere and not Path(elsewhere).is_dir():
        raise UsageError(
            f"The folder for checkpoints, {elsewhere}, is not there. Nothing was changed: mount "
            "its disk or make the folder, or name another one with --checkpoints DIR.",
            see="no-checkpoints-folder",
        )


SIGN = ".hbtrack"
"""What hbtrack puts into the folder of a search on another disk, and scripts do not."""


def make_checkpoints_folder(
    database: Path, token: str, elsewhere: str | None
) -> tuple[Path, Path | None]:
    """Create the folder of a search's checkpoints; it, and what is there while its disk is.

    Refuses one that others can write to. The latter is None where they lie beside the database;
    else a file, for scripts that make their folder with all above it make the search's, too, on the
    mount point of a disk that is away.
    """
    require_there(elsewhere)
    folder = checkpoints_folder(database, token, elsewhere)
    if not elsewhere:
        _make_private(folder.parent.parent, folder.parent, folder)
        return folder, None
    _make_private(folder)
    try:
        (folder / SIGN).touch(mode=0o600)
    except OSError as error:
        raise HbtrackError(
            f"Nothing can be written to {folder}: {error.strerror}.", see="cannot-write"
        ) from error
    return folder, folder / SIGN


def require_private(level: Path) -> None:
    """Raise HbtrackError unless it is a folder, no link, that only the user can write to."""
    state = level.lstat()
    if stat.S_ISLNK(state.st_mode):
        raise HbtrackError(
            f"{level} is a link, and hbtrack follows none there, so nothing is put into it. Remove "
            "the link and move the folder to which it leads into its place; or, for checkpoints on "
            "another disk, remove it and name a folder there with --checkpoints DIR.",
            see="unsafe-folder",
        )
    private = not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    own = os.geteuid() in (state.st_uid, 0)  # root has been warned
    if not (stat.S_ISDIR(state.st_mode) and own and private):
        raise HbtrackError(
            f"{level} is not a folder of yours that only you can write to, so nothing is put "
            f"into it. Move it away, or type: chmod go-w {level}",
            see="unsafe-folder",
        )


def make_search_folder(database: Path, search_pk: int) -> Path:
    """Create the folder of a search; refuses one that somebody else can write to."""
    folder = search_folder(database, search_pk)
    _make_private(folder.parent, folder)
    return folder


def _make_private(*levels: Path) -> None:
    for level in levels:
        try:
            level.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise HbtrackError(
                f"The folder {level} cannot be made: {error.strerror}.", see="cannot-write"
            ) from error
        require_private(level)
