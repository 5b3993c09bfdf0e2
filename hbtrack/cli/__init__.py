"""The command line: the only place where errors become text and exit status.

Each command lives in a module of its own, imported when it is called: reading commands load none of
sqlalchemy, alembic, numpy, rich.
"""

import contextlib
import os
import sqlite3
import sys
from collections.abc import Sequence

from hbtrack.cli.parser import parse
from hbtrack.database.location import database_path
from hbtrack.database.revision import explain
from hbtrack.display import printable
from hbtrack.errors import HbtrackError, ScriptError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        code = _call(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except HbtrackError as error:
        show_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `hbtrack report | head`
        _silence_stdout()
        return 141
    except (sqlite3.Error, UnicodeDecodeError) as error:  # a file that is damaged inside
        show_error(explain(error, database_path(_option(arguments, "--db"))))
        return HbtrackError.exit_code
    except OSError as error:  # a folder that is gone, a disk that is full
        _silence_stdout()
        complain(f"hbtrack: {error}. Everything recorded is kept.")
        return HbtrackError.exit_code


def _call(arguments: list[str]) -> int:
    try:
        args = parse(arguments)
    except SystemExit as end:  # argparse has shown the help or the version
        return int(end.code or 0)
    return int(args.command(args))


def _option(arguments: list[str], name: str) -> str | None:
    """The value of an option, where the arguments could be parsed before."""
    for word, following in zip(arguments, [*arguments[1:], None], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


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
