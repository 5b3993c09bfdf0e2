"""What can be typed. Loads nothing but argparse; the commands are imported when they are called.

Read in this order: values, nearest, pieces, script_args, driving, searching, asking.
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
    argv = _help_in_full(argv, commands)
    tail: list[str] = []
    if calls_script := argv[0] in ("run", "check") if argv else False:
        head, tail = split_at_script(commands[argv[0]], argv[1:])
        argv = [argv[0], *head]
    args, rest = parser.parse_known_args(argv)
    if rest:
        _refuse(rest, commands[args.verb])
    if calls_script:
        _require_script(args, commands[args.verb])
        args.script_args = script_args(commands[args.verb], args.verb, tail)
    args.given = given_options(commands.get(args.verb), argv[1:])
    return args


def _help_in_full(argv: Sequence[str], commands: dict[str, Parser]) -> Sequence[str]:
    """`help COMMAND` is `COMMAND --help`, and `help` alone `--help`; other words as they are."""
    asked = argv[:1] and argv[0] in ("help", "--explain")
    of_command = asked and argv[1:] and argv[1] in commands
    return [*argv[1:], "--help"] if of_command or list(argv) == ["help"] else argv


def _refuse(words: Sequence[str], command: Parser) -> None:
    """Raise UsageError for words that a command does not take."""
    names = [word for word in words if not word.startswith("-")]
    search = names and "--identity" in command.options
    command.error(
        f"`{command.prog}` does not take {' '.join(words)}"
        + (f"; a search is named by --identity {names[0]}" if search else "")
    )


def _require_script(args: argparse.Namespace, command: Parser) -> None:
    if args.script is None:
        command.error(
            f"Name a script, as in `{command.prog} myexp.py`; `hbtrack init myexp` writes one that "
            "works as it is"
        )


def make_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of everything, and those of the commands by their names."""
    parser = Parser(
        prog="hbtrack",
        description="Hyperband over your own training script, in one SQLite file, resumed exactly.",
        epilog="Example: hbtrack run --max-epochs 9 dummy.py --model resnet\n"
        "Every command has more to say: hbtrack help COMMAND\n"
        "hbtrack alone shows the searches of this folder, or how to start.",
        formatter_class=_InGroups,
    )
    parser.add_argument("--version", action="version", version=f"hbtrack {__version__}")
    parser.add_argument(
        "--explain",
        action=Explain,
        nargs="?",
        const="",
        metavar="NAME",
        help="as `hbtrack help NAME`; without NAME the names of all errors",
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


_WITHOUT_DATABASE = {"init", "check", "plan", "completion", "help", "db"}
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
