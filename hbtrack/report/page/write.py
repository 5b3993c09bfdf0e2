"""Put a page into a file: whole or not at all, private, and never over something else."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hbtrack.errors import HbtrackError, UsageError

MARK = "<!doctype html>\n<!-- hbtrack page -->"
"""How every page begins: only a file that begins so is written over."""


def write(page: str, name: str) -> Path:
    """Write the page to the file of that name, readable for its owner only; where it now is.

    Raises UsageError when something else is there, HbtrackError when it cannot be written.
    """
    path = Path(os.path.realpath(Path(name).expanduser()))
    try:
        _refuse_other(path)
        _replace(path, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise HbtrackError(
            f"The page {path} cannot be written: {error.strerror}. Nothing was changed there; "
            "name another place with --html FILE.",
            see="cannot-write",
        ) from error
    return path


def _refuse_other(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(
            f"{path} is not a file. Name a file with --html FILE, or - for stdout.",
            see="destination",
        )
    with path.open("rb") as file:
        beginning = file.read(len(MARK))
    if beginning and beginning != MARK.encode():
        raise UsageError(
            f"{path} exists and is not a page of hbtrack, so it was left as it is. "
            "Name another with --html FILE, or move it away.",
            see="destination",
        )


def _replace(path: Path, content: bytes) -> None:
    with TemporaryDirectory(prefix=".hbtrack-page-", dir=path.parent) as folder:
        partial = Path(folder, "page")
        partial.touch(mode=0o600)
        partial.write_bytes(content)
        partial.replace(path)
