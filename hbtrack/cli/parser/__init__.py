"""What can be typed. Loads nothing but argparse; the commands are imported when they are called.

Read in this order: values, pieces, script_args, driving, searching, asking.
"""

import argparse
from collections.abc import Sequence

from hbtrack.cli.parser import asking, searching
from hbtrack.cli.parser.pieces import Explain, Parser, database
from hbtrack.cli.parser.script_args import given_options, script_args, split_at_script
from hbtrack.version import __version__


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of one command, its name as `verb`. Raises UsageError."""
    parser, commands = make_parser()
    tail: list[str] = []
    if calls_script := argv[0] in ("run", "check") if argv else False:
        head, tail = split_at_script(commands[argv[0]], argv[1:])
        argv = [argv[0], *head]
    args = parser.parse_args(argv)
    if calls_script:
        args.script_args = script_args(commands[args.verb], args.verb, tail)
    args.given = given_options(commands.get(args.verb), argv[1:])
    return args


def make_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of everything, and those of the commands by their names."""
    parser = Parser(
        prog="hbtrack",
        description="Hyperband over your own training script, in one SQLite file, resumed exactly.",
        epilog="Example: hbtrack run --max-epochs 9 dummy.py --model resnet\n"
        "Every command has more to say: hbtrack COMMAND --help",
        formatter_class=_InGroups,
    )
    parser.add_argument("--version", action="version", version=f"hbtrack {__version__}")
    parser.add_argument(
        "--explain",
        action=Explain,
        nargs="?",
        const="",
        metavar="NAME",
        help="show what the error of this name means, or all names, and exit",
    )
    verbs = parser.add_subparsers(
        title="commands", dest="verb", metavar="COMMAND", required=True, parser_class=Parser
    )
    for add_command in (*searching.COMMANDS, *asking.COMMANDS):
        add_command(verbs)
    for name, command in verbs.choices.items():
        if name not in _WITHOUT_DATABASE:
            database(command)
    return parser, verbs.choices


_WITHOUT_DATABASE = {"init", "check", "plan", "completion", "db"}
"""Commands that have no use for --db, or whose actions take it."""

_HEADINGS = {"init": "search", "status": "see what was found", "db": "the rest"}
"""What is written above a command, and so above those that follow it."""


class _InGroups(argparse.RawDescriptionHelpFormatter):
    """Help that shows the commands in groups."""

    def __init__(self, prog: str, width: int) -> None:
        super().__init__(prog, width=width)
        self._action_max_length = 14  # argparse forgets how far commands are indented

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        if isinstance(action, argparse._SubParsersAction):
            return text.partition("\n")[2]  # a line that says only COMMAND
        heading = _HEADINGS.get(str(action.metavar)) if not action.option_strings else None
        return f"  {heading}:\n{text}" if heading else text
