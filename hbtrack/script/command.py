"""How the user's script is run: which file, which interpreter, from where."""

import hashlib
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from hbtrack.core.records import Command
from hbtrack.errors import UsageError


def make_command(script: str, script_args: Sequence[str], python: str | None, cwd: str) -> Command:
    """How the script is run. Raises UsageError when it or the interpreter is not there."""
    for what, text in (("script", script), ("interpreter", python or ""), ("folder", cwd)):
        if not is_text(text):
            raise UsageError(
                f"The name of the {what}, {text!a}, is not UTF-8; give it another one.",
                see="not-utf8",
            )
    path = os.path.abspath(os.path.join(cwd, script))  # noqa: PTH100, PTH118 - links stay as typed
    return Command(
        script=path,
        script_sha256=sha256_of(path),
        script_args=tuple(script_args),
        python=_interpreter(python),
        cwd=cwd,
    )


def is_text(name: str) -> bool:
    """Whether a name is one that a database can hold: UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def sha256_of(script: str | Path) -> str:
    """The hash of a script's text. Raises UsageError when it cannot be read, or is no file."""
    try:
        kind = Path(script).stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # to open a pipe may wait for ever
            raise UsageError(
                f"The script {script} is a device, a pipe or a socket. It was not opened, and "
                "nothing was started; name a file.",
                see="no-script",
            )
        return hashlib.sha256(Path(script).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"The script {script} cannot be read: {error.strerror}. Nothing was started.",
            see="no-script",
        ) from error


def _interpreter(python: str | None) -> str:
    wanted = python or sys.executable
    found = shutil.which(wanted)
    if found is None:
        raise UsageError(
            f"The interpreter {wanted} was not found. Nothing was started; name one with --python.",
            see="no-interpreter",
        )
    return os.path.abspath(found)  # noqa: PTH100 - a virtual environment's link must stay one


def command_around(command: Command) -> tuple[str, str]:
    """The shell-quoted text before and after CONFIG_ID --epochs N --gpu G."""
    tail = shlex.join(command.script_args)
    texts = shlex.join([command.python, command.script]), f" {tail}" if tail else ""
    # Arguments need not be UTF-8; what is stored to be shown must be.
    head, tail = (text.encode("utf-8", "backslashreplace").decode() for text in texts)
    return head, tail
