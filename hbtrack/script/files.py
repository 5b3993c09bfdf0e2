"""The script's files as they are now, and whether the script's interpreter can compile them.

A look is a stat of each file: only what was written since the last one is read again.
"""

import hashlib
import json
import os
import stat
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hbtrack.core.script_text import Look

KEPT = 1 << 20
"""Bytes up to which a text is kept."""

SETTLED = 2.0
"""Seconds after which whatever is written to a file changes its times, on any disk."""

COMPILE_SECONDS = 10.0

_GONE = os.stat_result((0,) * 10)


class ScriptFiles:
    """The script and the user's own modules, the script first.

    `compiled` are the hashes of contents that are known to compile.
    """

    def __init__(self, python: str, paths: Sequence[str], compiled: Iterable[str]) -> None:
        self._python, self._paths = python, paths
        self._compiled = set(compiled)
        self._found: dict[str, _Found] = {}
        self._last = Look({})
        self._problem: tuple[Look, str | None] = (self._last, None)

    def look(self) -> Look:
        """What the files are now; the same object as last time where nothing was written."""
        written = False
        for path in self._paths:
            before, now = self._found.get(path), _stat(path)
            if before is None or not before.is_still(now):
                self._found[path] = found = _read(path)
                same = before and (found.mark, found.sha256) == (before.mark, before.sha256)
                written = written or not same
        if written:
            marks = [self._found[path].mark for path in self._paths]
            self._last = Look(
                {path: self._found[path].sha256 for path in self._paths},
                tuple((mark[:1], mark[2:]) for mark in marks),
                max(self._found[path].changed_at for path in self._paths),
            )
        return self._last

    def problem(self, look: Look) -> str | None:
        """Why the files as they were found last cannot be run; None if they compile."""
        if self._problem[0] is not look:
            self._problem = look, self._asked(look)
        return self._problem[1]

    def text(self, sha256: str) -> str | None:
        """The text with this hash, if one of the files had it last; None if it is not to be kept.

        What is longer than KEPT or no UTF-8 is not.
        """
        for found in self._found.values():
            if found.sha256 == sha256 != "" and len(found.content) <= KEPT:
                try:
                    return found.content.decode()
                except UnicodeDecodeError:
                    return None
        return None

    def _asked(self, look: Look) -> str | None:
        script = self._paths[0]
        if not look.files[script]:
            return f"{script} cannot be read"
        if not self._found[script].content.strip():  # compiles, and is what a save begins with
            return f"{script} is empty"
        gone = [path for path, sha256 in look.files.items() if not sha256]
        new = [path for path in look.files.keys() - gone if gone or self._is_new(path)]
        if not new:
            return None
        texts = [[path, self._found[path].content.decode("latin-1")] for path in sorted(new)]
        problem = _compile(self._python, {"texts": texts, "gone": gone})
        if problem is None:
            self._compiled |= {look.files[path] for path in new}
        return problem

    def _is_new(self, path: str) -> bool:
        return self._found[path].sha256 not in self._compiled


class _Found(NamedTuple):
    """A file as it was read; without a hash it cannot be."""

    sha256: str = ""
    content: bytes = b""
    mark: tuple[int, ...] = ()
    """Its times and where it lies: another one where it was written."""
    changed_at: float = 0.0  # Unix time, as the disk has it
    settled: bool = True  # what is written to it after it was read changes its mark

    def is_still(self, now: os.stat_result) -> bool:
        """Whether the file is as it was read."""
        return self.settled and self.mark == _mark(now)


def _stat(path: str) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116 - asked for each evaluation
    except OSError:
        return _GONE


def _mark(found: os.stat_result) -> tuple[int, ...]:
    if found is _GONE:
        return ()
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)


def _read(path: str) -> _Found:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a pipe would never open
            return _Found()
        with Path(path).open("rb") as file:
            found = os.fstat(file.fileno())
            content = file.read()
    except OSError:
        return _Found()
    age = time.time() - found.st_ctime
    sha256 = hashlib.sha256(content).hexdigest()
    return _Found(sha256, content, _mark(found), found.st_ctime, settled=age > SETTLED)


def _compile(python: str, question: dict[str, object]) -> str | None:
    """The first problem; None also where the interpreter has none to tell of."""
    inside = os.fspath(Path(__file__).with_name("compiles.py"))
    try:
        answer = subprocess.run(
            [python, "-I", "-S", inside],
            input=json.dumps(question),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=COMPILE_SECONDS,
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # then nothing starts at all, and that is told elsewhere
    return str(json.loads(answer.stdout)) if answer.returncode == 0 and answer.stdout else None
