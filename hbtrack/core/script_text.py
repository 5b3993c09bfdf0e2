"""What the script's files were at one moment: the script itself, and the user's own modules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Hashes = Mapping[str, str]
"""The SHA-256 of each file's content by its path, the script's first; empty if it is not there."""


@dataclass(frozen=True, slots=True)
class Look:
    """The files as they were found."""

    files: Hashes
    marks: object = ()  # another one where a file was written, be it with the same content
    changed_at: float = 0.0  # Unix time; when the last of them was written, moved or replaced


class Imported(NamedTuple):
    """What the import of a script read."""

    script_sha256: str
    modules: tuple[str, ...]  # paths of the user's own


def changed(before: Hashes, now: Hashes) -> list[str]:
    """The files, known at both moments, whose content is another one."""
    return [path for path, sha256 in now.items() if before.get(path, sha256) != sha256]


def is_of(version: Hashes, look: Look) -> bool:
    """Whether every file of a version was found as it is there."""
    return all(look.files.get(path) == sha256 for path, sha256 in version.items())
