"""What a file is that is no Python script, by its name and first bytes; pure."""

import os
import re
import shlex
from collections.abc import Sequence

from hbtrack.errors import NotPython, UsageError

PROGRAMS = {
    **{".sh": "sh", ".bash": "bash", ".zsh": "zsh", ".ksh": "ksh", ".fish": "fish"},
    **{".r": "Rscript", ".jl": "julia", ".js": "node", ".rb": "ruby", ".pl": "perl"},
    **{".lua": "lua", ".m": "octave"},
}
"""What runs files with these endings."""

EXECUTABLE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How compiled programs begin, on Linux and macOS."""


def require_python(script: str, head: bytes) -> None:
    """Raise UsageError where a file is no Python; `script` is as typed, `head` how it begins."""
    if script.lower().endswith(".ipynb"):
        raise _notebook(script)
    if words := _started_by(script, head):
        raise _other_language(script, words)
    if b"\0" in head:
        raise UsageError(
            f"The script {script} is not text, but compiled or packed. Nothing was started; name "
            "the Python file that it was made of.",
            see="no-script",
        )


def require_script_first(script: str, script_args: Sequence[str]) -> None:
    """Raise UsageError for what people type instead of a script: an address, an interpreter."""
    if re.match(r"[a-z]+://", script):
        raise UsageError(
            f"{script} is an address, and hbtrack fetches nothing. Nothing was started; download "
            "the script and name the file.",
            see="no-script",
        )
    if re.fullmatch(r"(.*/)?python[\d.]*", script) and script_args:
        raise UsageError(
            f"{script} is an interpreter, which hbtrack starts itself. Nothing was started; name "
            f"the script alone: {shlex.join(script_args)}. Another interpreter is chosen by "
            f"--python {script} before it.",
            see="no-script",
        )


def _started_by(script: str, head: bytes) -> list[str]:
    """The words that start a file in another language; none if it may be Python."""
    ending = os.path.splitext(script)[1].lower()  # noqa: PTH122
    if ending in (".py", ".pyw"):
        return []
    if head.startswith(EXECUTABLE):
        return [script if "/" in script else f"./{script}"]
    first = _interpreter(head)
    program = first if first in {*PROGRAMS.values(), "dash"} else PROGRAMS.get(ending)
    return [program, script] if program else []


def _interpreter(head: bytes) -> str:
    """The program of a first line such as #!/usr/bin/env bash; empty where there is none."""
    if not head.startswith(b"#!"):
        return ""
    words = head[2:].partition(b"\n")[0].decode("utf-8", "replace").split()
    names = [word.rpartition("/")[2] for word in words if not re.match(r"-|\w+=", word)]
    return next((name for name in names if name != "env"), "")


A_SCRIPT = (
    "a script is a Python file: hbtrack calls `python SCRIPT CONFIG_ID --epochs N --gpu G` and "
    "takes its last line for the loss, and two functions in it say what is searched. Nothing was "
    "started."
)


def _other_language(script: str, words: list[str]) -> NotPython:
    wrapper = _wrapper_of(script)
    return NotPython(
        f"{script} is not Python, and {A_SCRIPT} Save these lines as {wrapper}, write your "
        f"parameters into them, and type: hbtrack check {wrapper}",
        words,
        see="not-python",
    )


def _notebook(script: str) -> NotPython:
    wrapper, exported = _wrapper_of(script), f"{script[: -len('.ipynb')]}.py"
    return NotPython(
        f"{script} is a notebook, and {A_SCRIPT} Type: jupyter nbconvert --to python "
        f"{shlex.quote(script)}; take out of {exported} the lines that set what is searched; save "
        f"these lines as {wrapper}, write your parameters into them, and type: "
        f"hbtrack check {wrapper}",
        exported,
        see="notebook",
    )


def _wrapper_of(script: str) -> str:
    """A name for the Python script that starts this file; one that a shell takes as it is."""
    stem = os.path.splitext(os.path.basename(script))[0]  # noqa: PTH119, PTH122
    return f"search_{re.sub('[^A-Za-z0-9_]', '_', stem)}.py"
