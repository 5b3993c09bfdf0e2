"""Asking before something goes for good."""

import argparse
import sys

from hbtrack.errors import HbtrackError, UsageError


def require_answer(args: argparse.Namespace) -> None:
    """Raise UsageError where nobody can be asked and --yes was not typed."""
    if not args.yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise UsageError(
            "There is no terminal to ask on, so nothing was removed. With --yes it is not asked.",
            see="not-removed",
        )


def confirm(args: argparse.Namespace, *words: str) -> None:
    """Ask, unless --yes was typed. Raises HbtrackError if the answer is not yes, or one of these.

    What goes was said before.
    """
    if args.yes:
        return
    sys.stderr.write("Type y to remove it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() not in ("y", "yes", *words):
        raise HbtrackError("Nothing was removed.", see="not-removed")
