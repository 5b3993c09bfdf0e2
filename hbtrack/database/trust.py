"""Whose a database is: a search is driven only where nobody else may replace or write its file.

It says which program is run, as whom: who can write to it, or to the folder it lies in, can have
anything run by whoever resumes its search. Reading runs nothing. Standard library only.
"""

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hbtrack.errors import Conflict

VARIABLE = "HBTRACK_TRUST_DB"
"""Names the one file that is driven whosever it is."""

ROOT = 0
_BESIDE = ("-wal", "-shm", "-journal")
_warned: set[Path] = set()


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder, as its inode has it."""

    path: Path
    uid: int
    gid: int
    mode: int  # with its kind


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an entry is not one's own alone, and the command that mends it."""

    entry: Entry
    why: str
    remedy: str  # without the name

    @property
    def said(self) -> str:
        """It, with owner and mode."""
        entry = self.entry
        of = f"owner {_name_of(entry.uid)}, mode {stat.S_IMODE(entry.mode):04o}"
        return f"{entry.path} {self.why} ({of})"


def remedy_of(objections: Iterable[Objection]) -> str:
    """What is to be typed against all of them."""
    names: dict[str, list[str]] = {}
    for one in objections:
        names.setdefault(one.remedy, []).append(shlex.quote(str(one.entry.path)))
    return " && ".join(f"{remedy} {' '.join(paths)}" for remedy, paths in names.items())


def require_own(path: Path, say: Callable[[str], None]) -> None:
    """Raise Conflict unless a database that is about to be written is the user's alone.

    Root, who may well look after somebody else's, is told once. One that is not there yet counts by
    its folder.
    """
    _require_one_name(path)
    try:
        folder, files = _entry(path.parent, path.parent.stat()), _files_of(path)
    except OSError:  # what opening it will tell
        return
    found = objections(folder, files, os.geteuid(), shared_by_others)
    if not found or _is_trusted(path):
        return
    sentence = (
        f"{', '.join(one.said for one in found)}, so somebody else can choose what is run "
        "for the searches of this database"
    )
    remedy = remedy_of(found)
    if os.geteuid() == ROOT:
        if path not in _warned:
            _warned.add(path)
            say(f"Take care: {sentence}, as root. To mend it: {remedy}")
        return
    raise Conflict(
        f"{sentence}, as you. Nothing was changed, and reading commands work. To mend it, type: "
        f"{remedy} (or set {VARIABLE}={shlex.quote(str(path))} if it is to be as it is).",
        see="not-your-database",
    )


def objections(
    folder: Entry, files: Iterable[Entry], user: int, shared: Callable[[int, int], bool]
) -> list[Objection]:
    """Why somebody else than `user` and root may replace or write the files.

    The database's own file comes first, if it is there; `shared` says whether a group, by its
    number, has a member beside that user.
    """
    files = list(files)
    kept = bool(folder.mode & stat.S_ISVTX) and all(entry.uid == user for entry in files[:1])
    found = []
    for entry in [*files, folder]:
        if entry.uid not in (user, ROOT):
            remedy = f"sudo chown {_name_of(user)}"
            found.append(Objection(entry, "belongs to another user", remedy))
        elif _others_write(entry, shared, user) and not (entry is folder and kept):
            found.append(Objection(entry, "can be written to by others", "chmod go-w"))
    return found


def _others_write(entry: Entry, shared: Callable[[int, int], bool], user: int) -> bool:
    if stat.S_ISLNK(entry.mode):  # its mode says nothing
        return False
    by_group = bool(entry.mode & stat.S_IWGRP) and shared(entry.gid, user)
    return by_group or bool(entry.mode & stat.S_IWOTH)


def shared_by_others(gid: int, user: int) -> bool:
    """Whether somebody else than that user is in a group, or nobody can tell."""
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        members = set()
    everybody = pwd.getpwall()
    members |= {one.pw_name for one in everybody if one.pw_gid == gid}
    own = {one.pw_name for one in everybody if one.pw_uid in (user, ROOT)}
    # Some directories of users do not list them; a group of a user's own has the user's number.
    listed = any(one.pw_uid == user for one in everybody)
    return bool(members - own) or not (listed or gid == user)


def _require_one_name(path: Path) -> None:
    """Raise Conflict where a file has a second name: each name would have a NAME.d of its own."""
    try:
        links = path.stat().st_nlink
    except OSError:  # not there yet, or what opening it will tell
        return
    if links > 1:
        raise Conflict(
            f"{path} has {links} names (hard links), and under each of them another hbtrack could "
            "drive its searches. Nothing was changed, and reading commands work. Remove the other "
            f"names, which `find -L . -samefile {shlex.quote(path.name)}` lists, or make a copy: "
            "hbtrack db backup FILE",
            see="several-names",
        )


def _is_trusted(path: Path) -> bool:
    named = os.environ.get(VARIABLE)
    return bool(named) and os.path.realpath(str(named)) == os.path.realpath(path)


def _files_of(path: Path) -> list[Entry]:
    """Those that are there of the database's files; itself first."""
    found = []
    for ending in ("", *_BESIDE):
        file = path.with_name(path.name + ending)
        if os.path.lexists(file):
            found.append(_entry(file, file.lstat()))
    return found


def _entry(path: Path, state: os.stat_result) -> Entry:
    return Entry(path, state.st_uid, state.st_gid, state.st_mode)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
