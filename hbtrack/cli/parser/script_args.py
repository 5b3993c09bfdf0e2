"""Which words of `hbtrack run` and `hbtrack check` are hbtrack's, and which the script's."""

from collections.abc import Sequence

from hbtrack.cli.parser.pieces import Parser
from hbtrack.errors import UsageError


def split_at_script(parser: Parser, argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is hbtrack's (SCRIPT its last word) and what comes after it."""
    options = parser.options
    position = 0
    while position < len(argv):
        word = argv[position]
        if word == "--":
            return [*argv[: position + 2]], list(argv[position + 2 :])
        if not word.startswith("-"):
            return list(argv[: position + 1]), list(argv[position + 1 :])
        action = options.get(word)
        position += 2 if action and action.nargs is None and "=" not in word else 1
    return list(argv), []


def script_args(parser: Parser, verb: str, tail: Sequence[str]) -> list[str]:
    """The script's own arguments; refuses what hbtrack would have taken before SCRIPT."""
    from hbtrack.core.contract import RESERVED_OPTIONS  # noqa: PLC0415 - only `run` needs it

    own = {*parser.options, *RESERVED_OPTIONS}
    before = tail[: tail.index("--")] if "--" in tail else tail
    for word in before:
        name = word.split("=")[0] if word.startswith("--") else word
        if name in RESERVED_OPTIONS:
            raise UsageError(
                f"{name} stands after the script, but hbtrack passes {name} to it by itself. "
                f"Leave it out, or if the script means something else, write: SCRIPT -- {word}",
                see="option-after-script",
            )
        if name in own:
            raise UsageError(
                f"{name} stands after the script. For hbtrack write it before the script: "
                f"hbtrack {verb} {word} ... SCRIPT; for the script, after a --: SCRIPT -- {word}",
                see="option-after-script",
            )
    if "--" not in tail:
        return list(tail)
    return [*before, *tail[len(before) + 1 :]]


def given_options(parser: Parser | None, argv: Sequence[str]) -> set[str]:
    """The destinations of the options that the user gave."""
    options = parser.options if parser else {}
    names = (word.split("=")[0] for word in argv if word.startswith("-"))
    return {options[name].dest for name in names if name in options}
