"""The command line: the only place where errors become text and exit status.

Each command lives in a module of its own, imported when it is called: reading commands load none of
sqlalchemy, alembic, numpy, rich.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hbtrack.cli.parser import parse
from hbtrack.display import printable
from hbtrack.errors import HbtrackError, ScriptError, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    try:
        code = _call(sys.argv[1:] if argv is None else argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except HbtrackError as error:
        show_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        complain("hbtrack: interrupted.")
        return 130
    except BrokenPipeError:  # `hbtrack report | head`
        _silence_stdout()
        return 141
    except OSError as error:  # a folder that is gone, a disk that is full
        _silence_stdout()
        if not _has_folder():
            complain("hbtrack: the folder that you are in was deleted; go to another one.")
            return UsageError.exit_code
        complain(f"hbtrack: {error}. Everything recorded is kept.")
        return HbtrackError.exit_code


def _call(arguments: Sequence[str]) -> int:
    try:
        args = parse(arguments)
    except SystemExit as end:  # argparse has shown the help or the version
        return int(end.code or 0)
    return int(args.command(args))


def _has_folder() -> bool:
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _silence_stdout() -> None:
    """Python shall not try again, at its end, to write to a stdout that has failed."""
    if sys.stdout is not None:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_error(error: HbtrackError) -> None:
    """Say what happened; before it, what a script that broke had printed itself."""
    if isinstance(error, ScriptError) and error.output.strip():
        complain(error.output.rstrip())
    complain(f"hbtrack: {error}")


def complain(text: str) -> None:
    """Lines for the user's eye, on stderr, with nothing in them that could steer a terminal."""
    safe = "\n".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))
    encoding = sys.stderr.encoding or "utf-8"
    with contextlib.suppress(OSError, ValueError):  # a terminal that has gone away
        sys.stderr.write(safe.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()
