"""The pieces that the parsers of several commands share."""

import argparse
import importlib
from collections.abc import Sequence
from functools import cache
from shutil import get_terminal_size

from hbtrack.cli.parser.nearest import nearest_commands, nearest_options
from hbtrack.cli.parser.values import seconds
from hbtrack.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    Verbs = argparse._SubParsersAction["Parser"]
    Group = argparse._ArgumentGroup | argparse.ArgumentParser

FORMATS = ("simple", "github", "csv", "tsv", "json", "html", "latex")


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are ours: one sentence, exit status 2."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})  # type: ignore[arg-type]
        if "formatter_class" not in kwargs and "\n" in f"{self.description}{self.epilog}":
            self.formatter_class = argparse.RawDescriptionHelpFormatter

    @property
    def options(self) -> dict[str, argparse.Action]:
        """What it takes, by each name of it."""
        return self._option_string_actions

    def _get_formatter(self) -> argparse.HelpFormatter:
        """As in argparse, which makes one for each option and asks for the terminal each time."""
        return self.formatter_class(prog=self.prog, width=_width())  # type: ignore[call-arg]

    def parse_known_args(  # type: ignore[override]  # of its overloads we have one
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As in argparse, which tells of a missing word before a mistyped option."""
        for word in self._own_words(args or ()):
            name = word.partition("=")[0]
            if name.startswith("--") and " " not in name and name not in self.options:
                self.error(self._no_option(name))
        return super().parse_known_args(args, namespace)

    def _own_words(self, words: Sequence[str]) -> Sequence[str]:
        """Those before `--`, and before the command whose parser looks at what follows it."""
        ends = (
            at
            for at, word in enumerate(words)
            if word == "--" or (self._subparsers and not word.startswith("-"))
        )
        return words[: next(ends, None)]

    def _no_option(self, name: str) -> str:
        if self._subparsers:
            return f"There is no option {name} of `{self.prog}`; those of a command stand after it"
        return f"`{self.prog}` has no option {name}{nearest_options(name, self.options)}"

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """As in argparse, which lists all commands where one is mistyped."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            near = nearest_commands(self.prog, str(value), action.choices)
            self.error(f"There is no command `{self.prog} {value}`{near}")
        super()._check_value(action, value)

    def error(self, message: str) -> "NoReturn":
        """Raise UsageError."""
        raise UsageError(
            f"{message}. Type `{self.prog} --help` for what can be typed.", see="command-line"
        )


@cache
def _width() -> int:
    return get_terminal_size().columns - 2


class Explain(argparse.Action):
    """--explain, which answers at once, as --version does."""

    def __call__(
        self, parser: argparse.ArgumentParser, _args: object, name: object, _option: object = None
    ) -> None:
        """Raise NotFound when there is no such name, else SystemExit."""
        importlib.import_module("hbtrack.cli.help").explain(name)
        parser.exit()


def database(parser: argparse.ArgumentParser) -> None:
    """--db."""
    parser.add_argument(
        "--db", metavar="PATH", help="the database; default HBTRACK_DB, else ./hbtrack.db"
    )


def identity(parser: argparse.ArgumentParser, *, several: bool = True) -> None:
    """--identity, for one search or several; where it is for one only it must be there."""
    text = "one search, or several by a shell pattern: 'model:*'" if several else "one search"
    parser.add_argument("--identity", required=not several, metavar="ID", help=text)


def in_seconds(parser: "Group", name: str, default: float, what: str = "") -> None:
    """An option that takes a time in seconds."""
    text = f"{what}default {default:g}"
    parser.add_argument(name, type=seconds, default=default, metavar="SECONDS", help=text)


def quiet(parser: "Group") -> None:
    """--quiet."""
    parser.add_argument("-q", "--quiet", action="store_true", help="show errors only")


def format_option(parser: argparse.ArgumentParser) -> None:
    """--format, for what is a table."""
    parser.add_argument("--format", choices=FORMATS, default="simple", help="default simple")


def text_or_json(parser: argparse.ArgumentParser) -> None:
    """--format, for what is text and no table."""
    parser.add_argument("--format", choices=("simple", "json"), default="simple")
