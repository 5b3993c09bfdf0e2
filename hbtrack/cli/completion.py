"""`hbtrack completion`: a script for a shell that completes what can be typed."""

import argparse
from collections.abc import Iterator

from hbtrack.cli import tables
from hbtrack.cli.help import sections
from hbtrack.cli.parser import make_parser

FILES = ("SCRIPT", "FILE", "PATH", "DEST")
"""The metavars of what is a file."""


def main(args: argparse.Namespace) -> int:
    """Print the script for `args.shell`."""
    import shtab  # noqa: PLC0415 - nothing else needs it

    parser, commands = make_parser()
    (name,) = [each for each in commands["help"]._actions if each.dest == "name"]
    name.choices = [*commands, *sections()]
    for action in _actions(parser):
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab looks for it
    tables.write(shtab.complete(parser, args.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Everything that can be typed, in all commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
