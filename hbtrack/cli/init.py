"""`hbtrack init`: a script that keeps the contract, for the user to fill in."""

import argparse
import importlib.util
import re
import shlex
import sys
from importlib.resources import files
from pathlib import Path

from hbtrack.cli import complain, tables
from hbtrack.errors import HbtrackError, UsageError
from hbtrack.text import printable

LIBRARIES = ("torch", "sklearn", "xgboost", "lightgbm")
"""What scripts are there for, beside the plain one; the names that they import."""

PACKAGES = {"sklearn": "scikit-learn"}
"""What pip calls them, where that is another name."""


def main(args: argparse.Namespace) -> int:
    """Write the script and say what to type next; exit 2 for a bad name or a file that exists."""
    path = _path_of(args.name)
    _refuse_shadowing(path)
    template = files("hbtrack.cli") / "templates" / f"{args.kind}_script.py"
    _create(path, template.read_text(encoding="utf-8").replace("myexp", path.stem))
    script = shlex.quote(str(path))
    tables.write(
        f"Wrote {path}. It works as it is; what is yours to change is marked TODO.\n\n"
        f"  hbtrack check {script}    tests whether it keeps the contract\n"
        f"  hbtrack run {script}      searches it"
    )
    if args.kind in LIBRARIES and importlib.util.find_spec(args.kind) is None:
        package = PACKAGES.get(args.kind, args.kind)
        complain(f"It needs {args.kind}: {shlex.quote(sys.executable)} -m pip install {package}")
    return 0


def _path_of(name: str) -> Path:
    path = Path(name.removesuffix(".py") + ".py")
    # A stem that stands in the script as it is, and that other files can import.
    if name.endswith("/") or not re.fullmatch(r"(?!__)\w[\w-]{0,99}", path.stem):
        raise UsageError(
            f"A script cannot be named {printable(repr(name))}: a name has up to 100 letters, "
            "digits, _ and -. Nothing was written; type for instance `hbtrack init myexp`.",
            see="bad-script-name",
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"There is no folder {printable(str(path.parent))}. Nothing was written; "
            "make it first, or name a script in a folder that is there.",
            see="destination",
        )
    return path


def _refuse_shadowing(path: Path) -> None:
    """A script's folder comes first on Python's path: its torch.py is what `import torch` finds."""
    name = path.stem
    found = None if path.exists() else importlib.util.find_spec(name)
    if name in sys.stdlib_module_names or name in LIBRARIES or (found and found.origin):
        raise UsageError(
            f"{printable(str(path))} would hide the module {name}: `import {name}` in it, or in "
            "what it imports, would find the script itself. Nothing was written; "
            f"type for instance `hbtrack init my_{name}`.",
            see="bad-script-name",
        )


def _create(path: Path, text: str) -> None:
    """All of the text in a file that is new, or no file."""
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                path.unlink()
                raise
    except FileExistsError:
        raise UsageError(
            f"{printable(str(path))} exists already and was not touched; type another name.",
            see="destination",
        ) from None
    except OSError as error:
        raise HbtrackError(
            f"{printable(str(path))} cannot be written: {error.strerror}. Nothing was changed; "
            "make room, or go to a folder of your own.",
            see="cannot-write",
        ) from error
