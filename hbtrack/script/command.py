"""How the user's script is run: which file, which interpreter, from where."""

import hashlib
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from hbtrack.core.records import Command
from hbtrack.errors import UsageError
from hbtrack.script.kinds import require_python, require_script_first


def make_command(script: str, script_args: Sequence[str], python: str | None, cwd: str) -> Command:
    """How the script is run. Raises UsageError when it or the interpreter is not there."""
    for what, text in (("script", script), ("interpreter", python or ""), ("folder", cwd)):
        if not is_text(text):
            raise UsageError(
                f"The name of the {what}, {text!a}, is not UTF-8; give it another one.",
                see="not-utf8",
            )
    require_script_first(script, script_args)
    path = os.path.abspath(os.path.join(cwd, script))  # noqa: PTH100, PTH118 - links stay as typed
    content = _content(path)
    require_python(script, content[:1024])
    return Command(
        script=path,
        script_sha256=hashlib.sha256(content).hexdigest(),
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
    return hashlib.sha256(_content(script)).hexdigest()


def _content(script: str | Path) -> bytes:
    try:
        kind = Path(script).stat().st_mode
        if not stat.S_ISREG(kind):  # to open a pipe may wait for ever
            what = "folder" if stat.S_ISDIR(kind) else "device, a pipe or a socket"
            raise UsageError(
                f"The script {script} is a {what}. It was not opened, and "
                "nothing was started; name a Python file.",
                see="no-script",
            )
        return Path(script).read_bytes()
    except OSError as error:
        raise UsageError(
            f"The script {script} cannot be read: {error.strerror}. Nothing was started."
            + _nearest(Path(script)),
            see="no-script",
        ) from error


def _nearest(script: Path) -> str:
    """A sentence that names the Python files beside it that are called nearly so."""
    beside = sorted(path.name for path in script.parent.glob("*.py"))
    near = get_close_matches(script.name, beside, n=1, cutoff=0.6)
    return f" The nearest there is {near[0]}." if near else ""


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
