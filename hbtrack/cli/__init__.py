"""The command line: the only place where errors become text and exit status.

Each command lives in a module of its own, imported when it is called. None loads numpy; sqlalchemy
and alembic only to upgrade an older database, rich only to write to a terminal.

Read in this order: parser, stderr, tables, fitting, leaderboard, advice, signals, driving, run,
resume, extend, retry, stop, confirm, rm, clean, watch, status, here, page, report, beside, show,
help, errors, logs, sql, export, plan, check_progress, check, init, db, completion.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from hbtrack.cli.parser import parse
from hbtrack.errors import HbtrackError, NotPython, ScriptError, UsageError

TYPE_CHECKING = False  # without loading typing, which would be a third of what `--help` takes
if TYPE_CHECKING:
    from typing import TextIO


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    if sys.stderr is None:  # closed: 2>&-
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - no pathlib here; for good
    try:
        return _in_status(sys.argv[1:] if argv is None else argv)
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)


def _in_status(argv: Sequence[str]) -> int:
    """What a command came to, as an exit status; what it raised is told first."""
    try:
        code = _call(argv)
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
        _silence(sys.stdout)
        return 141
    except OSError as error:  # a folder that is gone, a disk that is full
        _silence(sys.stdout)
        explained = _in_words(error)
        show_error(explained)
        return explained.exit_code


def _call(arguments: Sequence[str]) -> int:
    try:
        args = parse(arguments or ["status"])
    except SystemExit as end:  # argparse has shown the help or the version
        return int(end.code or 0)
    if args.verb in _DRIVING:
        importlib.import_module("hbtrack.cli.stderr").never_held_up()
    module = args.verb if arguments else "here"
    return int(importlib.import_module(f"hbtrack.cli.{module}").main(args))


_DRIVING = {"run", "resume", "extend", "retry", "stop", "rm"}
"""Commands that drive a search, or end what runs of it."""


def _in_words(error: OSError) -> HbtrackError:
    if not _has_folder():
        return UsageError(
            "the folder that you are in was deleted; go to another one.", see="folder-deleted"
        )
    return HbtrackError(f"{error}. Everything recorded is kept.", see="system-error")


def _has_folder() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - `--help` loads no pathlib
    except OSError:
        return False


def _let_go(stream: "TextIO | None") -> None:
    """Write out what is left in it, so that Python at its end has nothing to fail with (120)."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):  # a terminal that has gone away
        _silence(stream)


def _silence(stream: "TextIO | None") -> None:
    """Python shall not try again, at its end, to write to what has failed."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show_error(error: HbtrackError) -> None:
    """Say what happened, and where more is; before it, what a script that broke had printed."""
    if isinstance(error, ScriptError) and error.output.strip():
        complain(error.output.rstrip())
    complain(f"hbtrack: {error}")
    if isinstance(error, NotPython):
        complain("\n" + importlib.import_module("hbtrack.cli.help").wrapper(error))
    complain(more(see=error.see))


def more(*, see: str) -> str:
    """The line that says how to read about an error: a section of docs/troubleshooting.md."""
    return f"More: hbtrack help {see}"


def complain(text: str) -> None:
    """Lines for the user's eye, on stderr, with nothing in them that could steer a terminal."""
    from hbtrack.text import printable  # noqa: PLC0415 - `--help` has nothing to complain of

    safe = "\n".join(printable(line.replace("\t", "    ")) for line in text.split("\n"))
    encoding = sys.stderr.encoding or "utf-8"
    with contextlib.suppress(OSError, ValueError):  # a terminal that has gone away
        sys.stderr.write(safe.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()
